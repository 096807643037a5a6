//! Merging arrays whose elements are objects with an `id`: they are known by it wherever they stand.

use std::collections::{BTreeMap, BTreeSet};

use super::scan::{Kind, Part, elements, kind, members};
use super::{Conflict, at_depth, equal};

/// The elements in their order, each with the text of its `id`.
struct List<'a> {
    text: &'a str,
    parts: Vec<Part<'a>>,
    ids: Vec<String>,
    by_id: BTreeMap<String, usize>,
}

impl<'a> List<'a> {
    /// `None` unless every element is an object with one `id`, a string or a number, that no other has.
    fn read(text: &'a str) -> Option<Self> {
        let parts = elements(text)?;
        let ids = parts.iter().map(|part| id(part.value)).collect::<Option<Vec<_>>>()?;
        let by_id: BTreeMap<_, _> = ids.iter().cloned().enumerate().map(|(at, id)| (id, at)).collect();
        (by_id.len() == ids.len()).then_some(Self { text, parts, ids, by_id })
    }

    fn get(&self, id: &str) -> Option<&'a str> {
        self.by_id.get(id).and_then(|at| self.parts.get(*at)).map(|part| part.value)
    }

    /// The ids that also stand in these, in this order.
    fn common<'s>(&'s self, others: [&Self; 2]) -> Vec<&'s str> {
        let everywhere = |id: &&str| others.iter().all(|other| other.by_id.contains_key(*id));
        self.ids.iter().map(String::as_str).filter(everywhere).collect()
    }

    /// What stands between the element at this place and the one before it.
    fn gap_at(&self, at: usize) -> Option<&'a str> {
        let before = self.parts.get(at.checked_sub(1)?)?;
        self.text.get(before.span.end..self.parts.get(at)?.span.start)
    }

    fn gap_before(&self, id: &str) -> Option<&'a str> {
        self.by_id.get(id).and_then(|at| self.gap_at(*at))
    }

    /// What stands between its elements.
    fn gap(&self) -> &'a str {
        self.gap_at(1).unwrap_or(",")
    }
}

fn id(element: &str) -> Option<String> {
    if kind(element) != Kind::Object {
        return None;
    }
    let members = members(element)?;
    let mut ids = members.iter().filter(|part| part.name == "id").map(|part| part.value);
    let (Some(id), None) = (ids.next(), ids.next()) else { return None };
    match id.as_bytes().first()? {
        // Decoded: one id may be written in several ways. A quote before it keeps "1" and 1 apart.
        b'"' => serde_json::from_str::<String>(id).ok().map(|text| format!("\"{text}")),
        b'-' | b'0'..=b'9' => Some(id.to_owned()),
        _ => None,
    }
}

/// How an id stands in a JSON Pointer.
fn name(id: &str) -> &str {
    id.strip_prefix('"').unwrap_or(id)
}

/// The merged array; `None` if the elements have no ids.
pub(super) fn merge(base: &str, mine: &str, theirs: &str, depth: usize) -> Result<Option<String>, Conflict> {
    let (Some(base), Some(mine), Some(theirs)) = (List::read(base), List::read(mine), List::read(theirs)) else {
        return Ok(None);
    };
    let orders = [base.common([&mine, &theirs]), mine.common([&base, &theirs]), theirs.common([&base, &mine])];
    let [of_base, of_mine, of_theirs] = &orders;
    let (frame, other) = if of_mine == of_base || of_mine == of_theirs {
        (&theirs, &mine)
    } else if of_theirs == of_base {
        (&mine, &theirs)
    } else {
        return Err(Conflict::here());
    };
    let mut values = BTreeMap::new();
    for id in mine.ids.iter().chain(&theirs.ids) {
        let merged = element(base.get(id), mine.get(id), theirs.get(id), depth);
        if let Some(value) = merged.map_err(|conflict| conflict.below(name(id)))? {
            values.insert(id.as_str(), value);
        }
    }
    Ok(Some(splice(frame, &order(frame, other, &base), &values)))
}

/// What becomes of one element; `None`: it goes.
fn element(
    base: Option<&str>,
    mine: Option<&str>,
    theirs: Option<&str>,
    depth: usize,
) -> Result<Option<String>, Conflict> {
    match (base, mine, theirs) {
        (Some(base), Some(mine), Some(theirs)) => at_depth(base, mine, theirs, depth + 1).map(Some),
        (None, Some(one), None) | (None, None, Some(one)) => Ok(Some(one.to_owned())),
        (None, Some(mine), Some(theirs)) if equal(mine, theirs) => Ok(Some(theirs.to_owned())),
        (Some(base), Some(one), None) | (Some(base), None, Some(one)) if equal(base, one) => Ok(None),
        (Some(_) | None, None, None) => Ok(None),
        _ => Err(Conflict::here()),
    }
}

/// The order of the merged elements: the frame's, and what the other side added after the element it was added behind. Two
/// additions at one place stand in the order of their ids, whoever comes first.
fn order<'a>(frame: &'a List<'_>, other: &'a List<'_>, base: &List<'_>) -> Vec<&'a str> {
    let (mut own, mut added) = (runs(frame, other, base), runs(other, frame, base));
    let mut order = Vec::new();
    let anchors = frame.ids.iter().map(String::as_str).filter(|id| is_anchor(id, other, base));
    for anchor in std::iter::once(None).chain(anchors.map(Some)) {
        order.extend(anchor);
        let mut both = [own.remove(&anchor).unwrap_or_default(), added.remove(&anchor).unwrap_or_default()];
        both.sort();
        order.extend(both.into_iter().flatten());
    }
    // What both sides added stands in both runs.
    let mut seen = BTreeSet::new();
    order.retain(|id| seen.insert(*id));
    order
}

/// Whether an element of one list stands in the other and was there before: additions are placed by these.
fn is_anchor(id: &str, other: &List<'_>, base: &List<'_>) -> bool {
    other.by_id.contains_key(id) && base.by_id.contains_key(id)
}

/// What a list has besides its anchors, by the anchor before it.
fn runs<'a>(list: &'a List<'_>, other: &List<'_>, base: &List<'_>) -> BTreeMap<Option<&'a str>, Vec<&'a str>> {
    let mut runs: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    let mut anchor = None;
    for id in list.ids.iter().map(String::as_str) {
        if is_anchor(id, other, base) {
            anchor = Some(id);
        } else if !base.by_id.contains_key(id) {
            runs.entry(anchor).or_default().push(id);
        }
    }
    runs
}

/// The frame's text with these elements in this order; what stood before an element of the frame stays before it.
fn splice(frame: &List<'_>, order: &[&str], values: &BTreeMap<&str, String>) -> String {
    let head = frame.parts.first().map_or(1, |part| part.span.start);
    let tail = frame.parts.last().map_or(1, |part| part.span.end);
    let text = |from: usize, to: usize| frame.text.get(from..to).unwrap_or_default();
    let (mut out, mut is_first) = (text(0, head).to_owned(), true);
    for (id, value) in order.iter().filter_map(|id| values.get(id).map(|value| (*id, value))) {
        out.push_str(if is_first { "" } else { frame.gap_before(id).unwrap_or(frame.gap()) });
        out.push_str(value);
        is_first = false;
    }
    out.push_str(text(tail, frame.text.len()));
    out
}
