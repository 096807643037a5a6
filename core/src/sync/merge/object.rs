//! Merging objects, member by member.

use std::collections::BTreeMap;

use super::scan::{Part, members};
use super::{Conflict, at_depth, equal};

/// An object's members by their names; `None` if a name stands twice.
fn by_name<'p, 'a>(parts: &'p [Part<'a>]) -> Option<BTreeMap<&'p str, &'p Part<'a>>> {
    let named: BTreeMap<_, _> = parts.iter().map(|part| (part.name.as_str(), part)).collect();
    (named.len() == parts.len()).then_some(named)
}

/// The merged object; `None` if one of the three has a name twice and so no paths.
pub(super) fn merge(base: &str, mine: &str, theirs: &str, depth: usize) -> Result<Option<String>, Conflict> {
    let (Some(b), Some(m), Some(t)) = (members(base), members(mine), members(theirs)) else { return Ok(None) };
    let (Some(in_base), Some(in_mine), Some(in_theirs)) = (by_name(&b), by_name(&m), by_name(&t)) else {
        return Ok(None);
    };
    let mut kept = Vec::with_capacity(t.len());
    for part in &t {
        let name = part.name.as_str();
        let value = |held: Option<&&Part<'_>>| held.map(|part| part.value.to_owned());
        let merged = member(value(in_base.get(name)), value(in_mine.get(name)), part.value, depth);
        kept.push(merged.map_err(|conflict| conflict.below(name))?);
    }
    let mut added = Vec::new();
    for part in m.iter().filter(|part| !in_theirs.contains_key(part.name.as_str())) {
        match in_base.get(part.name.as_str()) {
            None => added.push(mine.get(part.span.clone()).unwrap_or_default()),
            Some(base) if equal(base.value, part.value) => {}
            Some(_) => return Err(Conflict::here().below(&part.name)),
        }
    }
    Ok(Some(splice(theirs, &t, &kept, &added)))
}

/// What becomes of a member that `theirs` has; `None`: it goes.
fn member(base: Option<String>, mine: Option<String>, theirs: &str, depth: usize) -> Result<Option<String>, Conflict> {
    match (base, mine) {
        (Some(base), Some(mine)) => at_depth(&base, &mine, theirs, depth + 1).map(Some),
        (None, None) => Ok(Some(theirs.to_owned())),
        (Some(base), None) if equal(&base, theirs) => Ok(None),
        (None, Some(mine)) if equal(&mine, theirs) => Ok(Some(theirs.to_owned())),
        (Some(_), None) | (None, Some(_)) => Err(Conflict::here()),
    }
}

/// The frame's text with each value replaced or taken out, and members added at its end. Its space and commas stay.
fn splice(frame: &str, parts: &[Part<'_>], kept: &[Option<String>], added: &[&str]) -> String {
    let text = |from: usize, to: usize| frame.get(from..to).unwrap_or_default();
    let head = parts.first().map_or(1, |part| part.span.start);
    let tail = parts.last().map_or(1, |part| part.span.end);
    let (mut out, mut before, mut is_first, mut gap) = (text(0, head).to_owned(), head, true, ",");
    for (part, value) in parts.iter().zip(kept) {
        let between = text(before, part.span.start);
        before = part.span.end;
        gap = if between.is_empty() { gap } else { between };
        let Some(value) = value else { continue };
        out.push_str(if is_first { "" } else { gap });
        out.push_str(text(part.span.start, part.value_start));
        out.push_str(value);
        is_first = false;
    }
    for member in added {
        out.push_str(if is_first { "" } else { gap });
        out.push_str(member);
        is_first = false;
    }
    out.push_str(text(tail, frame.len()));
    out
}
