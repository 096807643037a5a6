//! One level of a JSON text, as places in it.
//!
//! In scope: where members and elements begin and end. The texts have been checked to be JSON; of any other the scan says `None`
//! or gives places that make no JSON either. Without recursion.

use std::ops::Range;

/// What a text is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    Scalar,
}

/// The kind of a value without space around it.
pub(super) fn kind(text: &str) -> Kind {
    match text.as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        _ => Kind::Scalar,
    }
}

/// One member or element: where it stands, and within that its value.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    /// The decoded name of a member; empty for an element.
    pub(super) name: String,
    /// Name and value, or the element.
    pub(super) span: Range<usize>,
    /// Where the value begins, up to the end of `span`.
    pub(super) value_start: usize,
    /// The value.
    pub(super) value: &'a str,
}

/// The members of an object in their order, repeated names included.
pub(super) fn members(text: &str) -> Option<Vec<Part<'_>>> {
    parts(text, b'}', true)
}

/// The elements of an array.
pub(super) fn elements(text: &str) -> Option<Vec<Part<'_>>> {
    parts(text, b']', false)
}

fn parts(text: &str, close: u8, named: bool) -> Option<Vec<Part<'_>>> {
    let bytes = text.as_bytes();
    let mut parts = Vec::new();
    let mut at = space(bytes, 1);
    if bytes.get(at) == Some(&close) {
        return Some(parts);
    }
    loop {
        let part = part(text, at, named)?;
        at = space(bytes, part.span.end);
        parts.push(part);
        match bytes.get(at)? {
            b',' => at = space(bytes, at + 1),
            byte if *byte == close => return Some(parts),
            _ => return None,
        }
    }
}

fn part(text: &str, start: usize, named: bool) -> Option<Part<'_>> {
    let bytes = text.as_bytes();
    let (name, value_start) = if named {
        let end = string(bytes, start)?;
        let colon = space(bytes, end);
        let name = serde_json::from_str(text.get(start..end)?).ok()?;
        (name, space(bytes, (bytes.get(colon) == Some(&b':')).then_some(colon + 1)?))
    } else {
        (String::new(), start)
    };
    let end = value(bytes, value_start)?;
    Some(Part { name, span: start..end, value_start, value: text.get(value_start..end)? })
}

/// The first place from here on that is no space.
fn space(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// The place after the string that begins here.
fn string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = (bytes.get(start) == Some(&b'"')).then_some(start + 1)?;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The place after the value that begins here.
fn value(bytes: &[u8], start: usize) -> Option<usize> {
    match bytes.get(start)? {
        b'"' => string(bytes, start),
        b'{' | b'[' => nested(bytes, start),
        _ => {
            let end = bytes
                .get(start..)?
                .iter()
                .take_while(|byte| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'));
            let length = end.count();
            (length > 0).then_some(start + length)
        }
    }
}

fn nested(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, start);
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = string(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return Some(at + 1),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}
