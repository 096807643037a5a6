//! A row, and its columns as what they are.
//!
//! In scope: Postgres' raw text to typed values; an error names the statement and the column, never the value.
//! Out of scope: what the values mean.

use drey_core::time::Timestamp;
use uuid::Uuid;

use crate::Result;
use crate::neon::error::StoreError;
use crate::neon::wire::{Cell, Field};

/// One row of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Row<'r, 'a> {
    pub(crate) statement: &'static str,
    pub(crate) fields: &'r [Field<'a>],
    pub(crate) cells: &'r [Option<Cell<'a>>],
}

impl<'r> Row<'r, '_> {
    /// Whether the column is NULL, or not there.
    #[must_use]
    pub fn is_null(&self, column: usize) -> bool {
        self.cells.get(column).is_none_or(Option::is_none)
    }

    /// Text, or NULL.
    pub fn opt_text(&self, column: usize) -> Result<Option<&'r str>> {
        let cell = self.cells.get(column).ok_or_else(|| self.wrong(column, "there"))?;
        Ok(cell.as_ref().map(|cell| &*cell.0))
    }

    /// Text.
    pub fn text(&self, column: usize) -> Result<&'r str> {
        self.opt_text(column)?.ok_or_else(|| self.wrong(column, "a value"))
    }

    /// A `bool`.
    pub fn bool(&self, column: usize) -> Result<bool> {
        match self.text(column)? {
            "t" => Ok(true),
            "f" => Ok(false),
            _ => Err(self.wrong(column, "a boolean")),
        }
    }

    /// An `int8`.
    pub fn i64(&self, column: usize) -> Result<i64> {
        self.parsed(column, |text| text.parse().ok())
    }

    /// A `uuid`, or NULL.
    pub fn opt_uuid(&self, column: usize) -> Result<Option<Uuid>> {
        self.opt_parsed(column, |text| Uuid::try_parse(text).ok())
    }

    /// A `uuid`.
    pub fn uuid(&self, column: usize) -> Result<Uuid> {
        self.parsed(column, |text| Uuid::try_parse(text).ok())
    }

    /// A `uuid[]`.
    pub fn uuids(&self, column: usize) -> Result<Vec<Uuid>> {
        self.parsed(column, |text| {
            let inner = text.strip_prefix('{')?.strip_suffix('}')?;
            inner.split(',').filter(|id| !id.is_empty()).map(|id| Uuid::try_parse(id).ok()).collect()
        })
    }

    /// A `timestamptz`.
    pub fn timestamp(&self, column: usize) -> Result<Timestamp> {
        self.parsed(column, |text| Timestamp::parse(text).ok())
    }

    /// Whatever `parse` reads, or NULL.
    pub fn opt_parsed<T>(&self, column: usize, parse: impl FnOnce(&'r str) -> Option<T>) -> Result<Option<T>> {
        let Some(text) = self.opt_text(column)? else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| self.wrong(column, std::any::type_name::<T>()))
    }

    /// Whatever `parse` reads.
    pub fn parsed<T>(&self, column: usize, parse: impl FnOnce(&'r str) -> Option<T>) -> Result<T> {
        parse(self.text(column)?).ok_or_else(|| self.wrong(column, std::any::type_name::<T>()))
    }

    fn wrong(&self, column: usize, expected: &str) -> StoreError {
        let name = self.fields.get(column).map_or("?", |field| &*field.name);
        StoreError::fault(format!("{}: column {column} ({name}) is not {expected}", self.statement))
    }
}

#[cfg(test)]
mod tests {
    use crate::neon::wire::Answer;

    #[test]
    fn columns_are_read_as_what_they_are() {
        let text = r#"{"results":[{"fields":[],"rows":[]},{"fields":[],"rows":[
            ["t","-5","0197a3c4-0000-7000-8000-000000000001","2026-11-20 21:39:07.326361+00",null,
            "{0197a3c4-0000-7000-8000-000000000001,0197a3c4-0000-7000-8000-000000000002}","{}"]]}]}"#;
        let answer = Answer::read(text, &[&crate::user::ME]).expect("it is an answer");
        let row = answer.first(0).expect("it has a row");
        assert!(row.bool(0).expect("a boolean"));
        assert_eq!(row.i64(1).expect("a number"), -5);
        assert_eq!(row.uuid(2).expect("a uuid").to_string(), "0197a3c4-0000-7000-8000-000000000001");
        assert_eq!(row.timestamp(3).expect("an instant").to_string(), "2026-11-20T21:39:07.326361Z");
        assert_eq!(row.uuids(5).expect("uuids").len(), 2);
        assert!(row.uuids(6).expect("no uuids").is_empty());
        assert!(row.uuids(2).is_err());
        assert_eq!((row.opt_text(4).expect("a column"), row.is_null(4)), (None, true));
    }

    #[test]
    fn an_error_names_statement_and_column_but_not_the_value() {
        let text = r#"{"results":[{"fields":[],"rows":[]},{"fields":[{"name":"created_at"}],"rows":[["hidden"]]}]}"#;
        let answer = Answer::read(text, &[&crate::user::ME]).expect("it is an answer");
        let error = answer.first(0).expect("it has a row").i64(0).expect_err("it is no number").to_string();
        assert!(error.contains("user.me: column 0 (created_at)") && !error.contains("hidden"), "{error}");
    }
}
