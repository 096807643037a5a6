//! The statements as values: their text, what their parameters are, and the list of all.
//!
//! In scope: what a test needs to prepare and explain each of them. Out of scope: running one.

use std::borrow::Cow;

use uuid::Uuid;

/// One SQL statement.
#[derive(Debug)]
pub struct Statement {
    /// Its name in errors and tests, `table.verb`.
    pub name: &'static str,
    /// The text, in lower case; every parameter has its cast.
    pub sql: &'static str,
    /// Whether a request's way leads through it so often that its plan is tested.
    pub hot: bool,
}

/// A parameter: text or NULL. Neon would turn JSON numbers and arrays into something else.
pub type Param<'a> = Option<Cow<'a, str>>;

/// A statement with its parameters. Its `Debug` shows none of them: they are the tenants' data.
pub(crate) struct Call<'a> {
    pub(crate) statement: &'static Statement,
    pub(crate) params: Vec<Param<'a>>,
}

impl Statement {
    /// This statement with these parameters.
    pub(crate) fn with<'a>(&'static self, params: impl Into<Vec<Param<'a>>>) -> Call<'a> {
        Call { statement: self, params: params.into() }
    }
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (…)", self.statement.name)
    }
}

/// A text as it is.
#[expect(clippy::unnecessary_wraps, reason = "a parameter is text or NULL, and so are its neighbours")]
pub(crate) fn text(value: &str) -> Param<'_> {
    Some(Cow::Borrowed(value))
}

/// A UUID in its usual form.
#[expect(clippy::unnecessary_wraps, reason = "a parameter is text or NULL, and so are its neighbours")]
pub(crate) fn uuid<'a>(value: Uuid) -> Param<'a> {
    Some(Cow::Owned(value.hyphenated().to_string()))
}

/// A number in decimal.
#[expect(clippy::unnecessary_wraps, reason = "a parameter is text or NULL, and so are its neighbours")]
pub(crate) fn number<'a>(value: impl Into<i64>) -> Param<'a> {
    Some(Cow::Owned(value.into().to_string()))
}

/// Numbers as Postgres reads an array.
pub(crate) fn numbers<'a>(values: &[i64]) -> Cow<'a, str> {
    let texts: Vec<String> = values.iter().map(i64::to_string).collect();
    Cow::Owned(format!("{{{}}}", texts.join(",")))
}

/// Bytes as Postgres reads them.
#[expect(clippy::unnecessary_wraps, reason = "a parameter is text or NULL, and so are its neighbours")]
pub(crate) fn bytes<'a>(value: &[u8]) -> Param<'a> {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(2 + 2 * value.len());
    hex.push_str("\\x");
    for byte in value {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Some(Cow::Owned(hex))
}

/// Every statement of this crate.
pub const STATEMENTS: &[&Statement] = &[
    &crate::neon::wire::SETTINGS,
    &crate::api_key::CREATE,
    &crate::api_key::LIST,
    &crate::api_key::ROTATE,
    &crate::api_key::REVOKE,
    &crate::api_key::FIND,
    &crate::api_key::USED,
    &crate::audit_event::LIST,
    &crate::gate::WORKSPACE,
    &crate::gate::ORG,
    &crate::health::READY,
    &crate::invitation::CREATE,
    &crate::invitation::LIST,
    &crate::invitation::GET,
    &crate::invitation::REVOKE,
    &crate::invitation::ACCEPT,
    &crate::org::CREATE,
    &crate::org::LIST,
    &crate::org::GET,
    &crate::org::UPDATE,
    &crate::org::SET_PLAN,
    &crate::org::DELETE,
    &crate::org_member::LIST,
    &crate::org_member::GET,
    &crate::org_member::PUT,
    &crate::org_member::REMOVE,
    &crate::project::CREATE,
    &crate::project::LIST,
    &crate::project::GET,
    &crate::project::UPDATE,
    &crate::project::DELETE,
    &crate::sync_divergence::LIST,
    &crate::sync_divergence::GET,
    &crate::sync_divergence::RESOLVE,
    &crate::settings::GET,
    &crate::settings::PUT,
    &crate::settings::HISTORY,
    &crate::sync_partition::LIST,
    &crate::sync_push::PUSH,
    &crate::sync_read::NEWEST,
    &crate::sync_read::READ,
    &crate::sync_told::TOLD,
    &crate::sync_snapshot::PAGE,
    &crate::sync_session::OPEN,
    &crate::sync_session::SCOPES,
    &crate::sync_session::LIST,
    &crate::sync_session::GET,
    &crate::sync_session::END,
    &crate::usage::RESERVE,
    &crate::usage::LIST,
    &crate::user::SEEN,
    &crate::user::ME,
    &crate::workspace::CREATE,
    &crate::workspace::LIST,
    &crate::workspace::GET,
    &crate::workspace::UPDATE,
    &crate::workspace::DELETE,
    &crate::workspace_member::LIST,
    &crate::workspace_member::GET,
    &crate::workspace_member::PUT,
    &crate::workspace_member::REMOVE,
];

#[cfg(test)]
mod tests {
    use super::{STATEMENTS, bytes, number, numbers, uuid};

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = STATEMENTS.iter().map(|statement| statement.name).collect();
        assert_eq!(names.len(), STATEMENTS.len());
    }

    #[test]
    fn every_statement_is_listed() {
        let declared: usize = sources(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref())
            .iter()
            .map(|source| source.matches(": Statement = Statement {").count())
            .sum();
        // One is the text above.
        assert_eq!(declared - 1, STATEMENTS.len());
    }

    fn sources(folder: &std::path::Path) -> Vec<String> {
        let paths =
            std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
        let read = |path: std::path::PathBuf| {
            if path.is_dir() { sources(&path) } else { vec![std::fs::read_to_string(&path).expect("a source is text")] }
        };
        paths.flat_map(read).collect()
    }

    #[test]
    fn parameters_are_the_text_postgres_reads() {
        assert_eq!(bytes(&[0, 255]).as_deref(), Some("\\x00ff"));
        assert_eq!((numbers(&[7, -1]), numbers(&[])), ("{7,-1}".into(), "{}".into()));
        assert_eq!(number(-7).as_deref(), Some("-7"));
        assert_eq!(uuid(uuid::Uuid::nil()).as_deref(), Some("00000000-0000-0000-0000-000000000000"));
    }
}
