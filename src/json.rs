//! JSON bodies: strict, with errors that name the place.

use drey_core::object::Object;
use drey_core::refusal::{Code, Refusal};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::problem::{Outcome, Problem};

/// Parses a body. Malformed JSON is refused with its line and column, a member that does not fit by its JSON Pointer.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Outcome<T> {
    parse_borrowed(body)
}

/// As [`parse`], for documents that borrow from the body.
pub fn parse_borrowed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Outcome<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let Object(document) = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        problem(&error.into_inner(), pointer)
    })?;
    deserializer.end().map_err(|error| problem(&error, String::new()))?;
    Ok(document)
}

/// RFC 6901: `~` and `/` inside a name are escaped.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } | Segment::Enum { variant: key } => {
            format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
        }
        Segment::Unknown => pointer,
    })
}

fn problem(error: &serde_json::Error, pointer: String) -> Problem {
    match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => {
            let position = format!("line {}, column {}", error.line(), error.column());
            located(Code::MalformedJson, format!("The body is not JSON: {error}."), position)
        }
        Category::Data => {
            let text = error.to_string();
            let code = if text.starts_with("unknown field") { Code::UnknownField } else { Code::InvalidBody };
            located(code, format!("The body does not fit: {text}."), pointer)
        }
    }
}

fn located(code: Code, detail: String, place: String) -> Problem {
    Refusal::new(code, detail.clone()).with_error(place, detail).into()
}
