//! The bytes of Neon's HTTP protocol: what a batch is sent as, and what its rows come back as.
//!
//! In scope: building the body, reading a successful answer. Pure. Out of scope: headers and sending (`send`), errors (`error`).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::neon::error::StoreError;
use crate::neon::row::Row;
use crate::session::Caller;
use crate::statement::{Call, Param, Statement, number, uuid};

/// The first statement of every batch: whom row-level security sees. Local to the transaction, because a connection is shared by
/// all tenants. Text comes out in UTC whatever the server's zone, and Postgres gives up when the request's deadline does.
pub(crate) const SETTINGS: Statement = Statement {
    name: "settings",
    sql: "select set_config('app.user_id', $1::text, true), set_config('app.org_id', $2::text, true), \
          set_config('app.workspace_id', $3::text, true), set_config('timezone', 'UTC', true), \
          set_config('statement_timeout', $4::text, true), set_config('app.key_id', $5::text, true), \
          set_config('app.project_id', $6::text, true)",
    hot: true,
};

#[derive(Serialize)]
struct Body<'a> {
    queries: Vec<Query<'a>>,
}

#[derive(Serialize)]
struct Query<'a> {
    query: Cow<'a, str>,
    params: &'a [Param<'a>],
}

/// The body of a batch: the settings, then the calls.
pub(crate) fn body(caller: Caller, calls: &[Call<'_>], trace: &str, timeout_ms: u32) -> Result<String> {
    let empty = || Some(Cow::Borrowed(""));
    let settings: [Param<'_>; 6] = [
        caller.user.map_or_else(empty, |id| uuid(id.uuid())),
        caller.org.map_or_else(empty, |id| uuid(id.uuid())),
        caller.workspace.map_or_else(empty, |id| uuid(id.uuid())),
        // 0 would mean no timeout at all.
        number(timeout_ms.max(1)),
        caller.api_key.map_or_else(empty, |id| uuid(id.uuid())),
        caller.project.map_or_else(empty, |id| uuid(id.uuid())),
    ];
    let first = Query { query: traced(SETTINGS.sql, trace), params: &settings };
    let rest = calls.iter().map(|call| Query { query: Cow::Borrowed(call.statement.sql), params: &call.params });
    let body = Body { queries: std::iter::once(first).chain(rest).collect() };
    serde_json::to_string(&body).map_err(|error| StoreError::fault(format!("a batch could not be written: {error}")))
}

/// The statement with its trace behind it, as sqlcommenter writes it. Nothing but hex digits and dashes gets into the SQL.
fn traced<'a>(sql: &'a str, trace: &str) -> Cow<'a, str> {
    let safe = trace.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    if trace.is_empty() || !safe {
        return Cow::Borrowed(sql);
    }
    Cow::Owned(format!("{sql} /*traceparent='{trace}'*/"))
}

/// A value of a row, borrowed from the answer unless JSON had escaped something in it.
#[derive(Debug, Deserialize)]
pub(crate) struct Cell<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

#[derive(Debug, Deserialize)]
pub(crate) struct Field<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct Outcome<'a> {
    #[serde(borrow)]
    fields: Vec<Field<'a>>,
    #[serde(borrow)]
    rows: Vec<Vec<Option<Cell<'a>>>>,
}

#[derive(Debug, Deserialize)]
struct Outcomes<'a> {
    #[serde(borrow)]
    results: Vec<Outcome<'a>>,
}

/// The rows of a batch, by call.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    outcomes: Vec<(&'static Statement, Outcome<'a>)>,
}

impl<'a> Answer<'a> {
    /// Reads the answer to these calls.
    pub(crate) fn of(body: &'a str, calls: &[Call<'_>]) -> Result<Self> {
        let statements: Vec<_> = calls.iter().map(|call| call.statement).collect();
        Self::read(body, &statements)
    }

    /// Reads the answer to these statements; the settings' own comes first and is dropped.
    pub(crate) fn read(body: &'a str, statements: &[&'static Statement]) -> Result<Self> {
        let outcomes: Outcomes<'a> = serde_json::from_str(body)
            .map_err(|error| StoreError::fault(format!("Neon's answer is not one: {error}")))?;
        if outcomes.results.len() != statements.len() + 1 {
            return Err(StoreError::fault(format!(
                "{} results for {} statements",
                outcomes.results.len(),
                statements.len() + 1
            )));
        }
        Ok(Self { outcomes: statements.iter().copied().zip(outcomes.results.into_iter().skip(1)).collect() })
    }

    /// The rows of the n-th call.
    pub(crate) fn rows(&self, call: usize) -> Result<impl Iterator<Item = Row<'_, 'a>>> {
        let (statement, outcome) =
            self.outcomes.get(call).ok_or_else(|| StoreError::fault(format!("there was no call {call}")))?;
        Ok(outcome.rows.iter().map(|cells| Row { statement: statement.name, fields: &outcome.fields, cells }))
    }

    /// The first row of the n-th call, which must have one.
    pub(crate) fn first(&self, call: usize) -> Result<Row<'_, 'a>> {
        let name = self.outcomes.get(call).map_or("?", |(statement, _)| statement.name);
        self.rows(call)?.next().ok_or_else(|| StoreError::fault(format!("{name} answered no row")))
    }

    /// Takes one text out of the first row of the n-th call without copying it, if JSON had not left it in place.
    pub(crate) fn take(&mut self, call: usize, column: usize) -> Option<String> {
        let row = self.outcomes.get_mut(call)?.1.rows.first_mut()?;
        Some(row.get_mut(column)?.take()?.0.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, SETTINGS, body, traced};
    use crate::session::Caller;
    use crate::statement::text;
    use drey_core::id::UserId;
    use std::borrow::Cow;
    use uuid::Uuid;

    /// The wire format of Neon's endpoint: if this changes, no query of ours is understood.
    #[test]
    fn a_batch_is_written_as_neon_reads_it() {
        let user = UserId::from_uuid(Uuid::from_u128(1));
        let call = crate::user::ME.with([text("a\"b"), None]);
        let written =
            body(Caller { user: Some(user), ..Caller::default() }, &[call], "", 250).expect("it can be written");
        let expected = serde_json::json!({"queries": [
            {"query": SETTINGS.sql, "params": ["00000000-0000-0000-0000-000000000001", "", "", "250", "", ""]},
            {"query": crate::user::ME.sql, "params": ["a\"b", null]},
        ]});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written).expect("it is JSON"), expected);
    }

    #[test]
    fn a_trace_is_a_comment_and_nothing_else() {
        assert_eq!(traced("select 1", "00-ab-cd-01"), "select 1 /*traceparent='00-ab-cd-01'*/");
        for wrong in ["", "00*/; drop", "00'", "ABC"] {
            assert_eq!(traced("select 1", wrong), "select 1");
        }
    }

    #[test]
    fn rows_are_borrowed_from_the_answer() {
        let text = r#"{"results":[{"fields":[],"rows":[]},{"fields":[{"name":"a"},{"name":"b"}],"rows":[["x",null],["y\n","z"]]}]}"#;
        let answer = Answer::read(text, &[&crate::user::ME]).expect("it is an answer");
        let first = answer.first(0).expect("it has a row");
        assert!(matches!(first.cells.first(), Some(Some(cell)) if matches!(cell.0, Cow::Borrowed("x"))));
        assert_eq!(answer.rows(0).expect("one call").count(), 2);
    }

    #[test]
    fn an_answer_of_another_shape_is_our_fault() {
        for wrong in ["", "{}", r#"{"results":[]}"#, r#"{"results":[{"fields":[],"rows":[[1]]}]}"#] {
            assert!(Answer::read(wrong, &[]).is_err(), "{wrong}");
        }
    }
}
