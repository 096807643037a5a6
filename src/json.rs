//! JSON bodies: strict, with errors that name the place.

use drey_core::refusal::{Code, Refusal};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::problem::{Outcome, Problem};

/// Parses a body. Malformed JSON is refused with its line and column, an unknown member by its name.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Outcome<T> {
    parse_borrowed(body)
}

/// As [`parse`], for documents that borrow from the body.
pub fn parse_borrowed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Outcome<T> {
    serde_json::from_slice(body).map_err(|error| problem(&error))
}

fn problem(error: &serde_json::Error) -> Problem {
    let position = format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => {
            let detail = format!("The body is not JSON: {error}.");
            located(Code::MalformedJson, detail, position)
        }
        Category::Data => {
            let text = error.to_string();
            let code = if text.starts_with("unknown field") { Code::UnknownField } else { Code::InvalidBody };
            located(code, format!("The body does not fit: {text}."), position)
        }
    }
}

fn located(code: Code, detail: String, position: String) -> Problem {
    Refusal::new(code, detail.clone()).with_error(position, detail).into()
}
