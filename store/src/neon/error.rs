//! What went wrong, sorted by whose fault it is.
//!
//! In scope: reading Neon's errors, and which of them is a refusal, an outage or a fault. Pure. Out of scope: HTTP of our own.

use std::borrow::Cow;

use drey_core::refusal::{Code, Refusal};
use drey_core::retry::{Effect, Retry, Signal, decide};
use serde::Deserialize;

use crate::statement::Call;

/// Why there is no answer. Its text never holds a parameter.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The caller's fault.
    #[error("{0}")]
    Refused(Refusal),
    /// The caller may look, and there is no such thing.
    #[error("there is no such thing at revision {revision}")]
    Absent {
        /// Of the tenant, in the same snapshot: what the absence is filed under.
        revision: i64,
    },
    /// The database cannot be reached, or has no room: worth another try later.
    #[error("the database is unavailable: {detail}")]
    Unavailable {
        /// What it said, for the log.
        detail: String,
        /// Seconds.
        retry_after: u32,
    },
    /// The request's time ran out first.
    #[error("the deadline passed before the database answered")]
    Timeout,
    /// A table or function that the statement names is not there, or not ours to read: migrations are missing.
    #[error("the schema is another: {detail}")]
    Schema {
        /// What is wrong, for the log.
        detail: String,
    },
    /// Our fault.
    #[error("the store failed: {detail}")]
    Fault {
        /// What is wrong, for the log.
        detail: String,
    },
}

impl StoreError {
    pub(crate) fn fault(detail: impl Into<String>) -> Self {
        Self::Fault { detail: detail.into() }
    }
}

/// An error as Postgres or the proxy tells it. Absent fields are null, an absent code is "".
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct PostgresError {
    pub(crate) message: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) code: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) detail: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) constraint: String,
}

fn or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

/// A try that brought no rows.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The connection broke.
    Network(String),
    /// The request's time ran out while we waited, or before we began.
    Timeout,
    /// A status without an error of Postgres.
    Status(u16),
    /// An error of Postgres, or of the proxy in its place.
    Postgres(PostgresError),
    /// We could not even ask.
    Ours(StoreError),
}

impl Failure {
    /// Reads an answer that is no success: an error is JSON at any status, but not at every.
    pub(crate) fn read(status: u16, body: &str) -> Self {
        match serde_json::from_str::<PostgresError>(body) {
            // With a code it is Postgres speaking; without one, a status from 500 on says more than its words.
            Ok(error) if status < 500 || !error.code.is_empty() => Self::Postgres(error),
            _ => Self::Status(status),
        }
    }

    /// What the retry table calls it.
    pub(crate) fn signal(&self) -> Signal<'_> {
        match self {
            Self::Network(_) => Signal::Network,
            // 57014: whoever ran out of time once is not asked again.
            Self::Timeout | Self::Ours(_) => Signal::Postgres { code: "57014", message: "" },
            Self::Status(status) => Signal::Status(*status),
            Self::Postgres(error) => Signal::Postgres { code: &error.code, message: &error.message },
        }
    }

    /// What the caller of the store hears, with so many milliseconds of the deadline left.
    pub(crate) fn into_error(self, calls: &[Call<'_>], left: u32) -> StoreError {
        let passing = decide(self.signal(), Effect::Read, 1, 0.0) != Retry::Stop;
        let statement = calls.first().map_or("settings", |call| call.statement.name);
        match self {
            Self::Timeout => StoreError::Timeout,
            Self::Ours(error) => error,
            Self::Network(_) if left == 0 => StoreError::Timeout,
            Self::Network(words) => unavailable(statement, &words),
            Self::Status(status) if passing => unavailable(statement, &format!("status {status}")),
            Self::Status(status) => StoreError::fault(format!("{statement}: Neon answered status {status}")),
            Self::Postgres(error) if error.code == "57014" => StoreError::Timeout,
            Self::Postgres(error) if passing => unavailable(statement, &error.words()),
            Self::Postgres(error) if matches!(&*error.code, "42P01" | "42883" | "42501") => {
                StoreError::Schema { detail: format!("{statement}: {}", error.words()) }
            }
            Self::Postgres(error) => error
                .refusal()
                .map_or_else(|| StoreError::fault(format!("{statement}: {}", error.words())), StoreError::Refused),
        }
    }
}

fn unavailable(statement: &str, words: &str) -> StoreError {
    StoreError::Unavailable { detail: format!("{statement}: {words}"), retry_after: 1 }
}

impl PostgresError {
    /// The refusal that a function of ours raised, or that a constraint stands for.
    fn refusal(&self) -> Option<Refusal> {
        if self.code == "23505" && matches!(&*self.constraint, "workspace_slug_key" | "project_slug_key") {
            return Some(
                Refusal::new(Code::SlugTaken, "Another one here has this slug.").with_error("/slug", "is taken"),
            );
        }
        if !self.code.starts_with("DR") {
            return None;
        }
        let refusal = Refusal::new(Code::parse(&self.constraint)?, Cow::Owned(self.message.clone()));
        Some(match refusal.code {
            Code::IdempotencyInFlight => refusal.with_retry_after(1),
            Code::MutationGap => match self.detail.parse() {
                Ok(expected) => refusal.with_extension("expected_id", expected),
                Err(_) => refusal,
            },
            _ => refusal,
        })
    }

    /// Code and message for the log. Classes 22 and 23 quote the values they stumbled over: of those, the constraint alone.
    fn words(&self) -> String {
        if self.code.starts_with("22") || self.code.starts_with("23") {
            return format!("SQLSTATE {} {}", self.code, self.constraint);
        }
        format!("SQLSTATE {} {}", self.code, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, StoreError};
    use drey_core::refusal::Code;

    fn told(status: u16, body: &str) -> StoreError {
        Failure::read(status, body).into_error(&[], 1_000)
    }

    #[test]
    fn what_our_functions_raise_is_a_refusal() {
        let gap = told(
            400,
            r#"{"message":"The next is 7.","code":"DR409","detail":"7","hint":null,"constraint":"mutation-gap"}"#,
        );
        let StoreError::Refused(refusal) = gap else { panic!("{gap}") };
        assert_eq!((refusal.code, refusal.extensions), (Code::MutationGap, vec![("expected_id", 7)]));
        let flying = told(400, r#"{"message":"m","code":"DR409","constraint":"idempotency-in-flight"}"#);
        assert!(matches!(flying, StoreError::Refused(refusal) if refusal.retry_after == Some(1)));
    }

    #[test]
    fn a_taken_slug_is_known_by_its_constraint() {
        let taken =
            told(400, r#"{"message":"duplicate key","code":"23505","detail":null,"constraint":"project_slug_key"}"#);
        assert!(matches!(taken, StoreError::Refused(refusal) if refusal.code == Code::SlugTaken));
    }

    #[test]
    fn outages_are_told_from_faults() {
        for (status, body) in [
            (500, r#"{"message":"Control plane request failed","code":""}"#),
            (502, "<html>"),
            (400, r#"{"message":"connection closed","code":""}"#),
            (500, r#"{"message":"sorry, too many clients already","code":"53300"}"#),
        ] {
            assert!(matches!(told(status, body), StoreError::Unavailable { retry_after: 1, .. }), "{body}");
        }
        for (status, body) in [
            (400, r#"{"message":"password authentication failed for user 'x'","code":""}"#),
            (400, r#"{"message":"syntax error","code":"42601"}"#),
            (507, r#"{"message":"response is too large (max is 10 bytes)"}"#),
            (400, r#"{"message":"m","code":"DR409","constraint":"no such code"}"#),
            (400, r#""query is not supported""#),
        ] {
            assert!(matches!(told(status, body), StoreError::Fault { .. }), "{body}");
        }
        let absent = r#"{"message":"relation \"schema_migrations\" does not exist","code":"42P01"}"#;
        assert!(matches!(told(400, absent), StoreError::Schema { .. }));
        assert!(matches!(told(400, r#"{"message":"canceling","code":"57014"}"#), StoreError::Timeout));
    }

    #[test]
    fn no_value_of_a_tenant_gets_into_an_error() {
        let body = r#"{"message":"invalid input syntax for type uuid: \"hidden\"","code":"22P02","detail":"hidden","constraint":null}"#;
        assert!(!told(400, body).to_string().contains("hidden"));
    }
}
