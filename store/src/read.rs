//! What lists and items have in common: access, revision, pages.
//!
//! In scope: reading the head of every read statement's rows. Out of scope: the items themselves.
//!
//! Every such statement answers at least one row: column 0 is the caller's role (NULL: none), column 1 the revision, and from column 2
//! on stands the item, whose columns are NULL if there is none. Role, revision and items come from ONE statement and so from one
//! snapshot: what is stored under the revision is what was true at it.

use drey_core::refusal::{Code, Refusal};
use drey_core::retry::Effect;
use drey_core::role::{OrgRole, WorkspaceRole};
use uuid::Uuid;

use crate::neon::Answer;
use crate::neon::row::Row;
use crate::session::Session;
use crate::statement::{Call, Param, number, text, uuid};
use crate::{Result, StoreError};

/// One item, and the revision it was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// The item.
    pub item: T,
    /// The revision of its workspace, or of its organisation.
    pub revision: i64,
}

/// A page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Position>,
    /// The revision of the workspace or organisation; 0 for a list that belongs to a user.
    pub revision: i64,
}

/// A place in a list: what its last item is sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The instant, in Postgres' text as it was read.
    pub created_at: String,
    /// The id that breaks ties.
    pub id: Uuid,
}

/// The role a read needs.
#[derive(Clone, Copy)]
pub(crate) enum Needed {
    /// None: the statement finds nothing but the caller's own.
    Own,
    Org(OrgRole),
    Workspace(WorkspaceRole),
}

/// The parameters of a page: limit + 1 rows, so that one more is seen if there is one, from the position on.
pub(crate) fn paging(limit: u32, after: Option<&Position>) -> [Param<'_>; 3] {
    [
        number(limit.saturating_add(1)),
        after.and_then(|position| text(&position.created_at)),
        after.and_then(|position| uuid(position.id)),
    ]
}

/// Runs a statement that finds one item.
pub(crate) async fn one<T>(
    s: &Session<'_>,
    call: Call<'_>,
    needed: Needed,
    item: impl FnOnce(&Row<'_, '_>) -> Result<T>,
) -> Result<Read<T>> {
    s.neon.run(s, &[call], Effect::Read, s.reads, |answer| found(s, &answer, needed, item)).await
}

/// The item of a batch that begins with such a statement.
pub(crate) fn found<T>(
    s: &Session<'_>,
    answer: &Answer<'_>,
    needed: Needed,
    item: impl FnOnce(&Row<'_, '_>) -> Result<T>,
) -> Result<Read<T>> {
    let row = answer.first(0)?;
    check(&row, needed)?;
    if row.is_null(2) {
        // A replica may only be behind: what it does not have is no proof of absence.
        let refused = refused(Code::NotFound, "There is no such thing here.");
        return Err(if s.is_current() { StoreError::Absent { revision: row.i64(1)? } } else { refused });
    }
    Ok(Read { item: item(&row)?, revision: row.i64(1)? })
}

/// Runs a statement that lists items; `created_at` is the column that holds the instant the list is sorted by.
pub(crate) async fn page<T>(
    s: &Session<'_>,
    call: Call<'_>,
    needed: Needed,
    limit: u32,
    created_at: usize,
    item: impl Fn(&Row<'_, '_>) -> Result<T>,
) -> Result<Page<T>> {
    s.neon.run(s, &[call], Effect::Read, s.reads, |answer| collect(&answer, needed, limit, created_at, item)).await
}

fn collect<T>(
    answer: &Answer<'_>,
    needed: Needed,
    limit: u32,
    created_at: usize,
    item: impl Fn(&Row<'_, '_>) -> Result<T>,
) -> Result<Page<T>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut page = Page { items: Vec::new(), next: None, revision: 0 };
    let mut last = None;
    for (index, row) in answer.rows(0)?.enumerate() {
        if index == 0 {
            check(&row, needed)?;
            page.revision = row.i64(1)?;
        }
        if row.is_null(2) {
            break;
        }
        if page.items.len() == limit {
            page.next = last;
            return Ok(page);
        }
        last = Some(Position { created_at: row.text(created_at)?.to_owned(), id: row.uuid(2)? });
        page.items.push(item(&row)?);
    }
    Ok(page)
}

/// 404 to who has no role, 403 to who has too little of one.
pub(crate) fn check(row: &Row<'_, '_>, needed: Needed) -> Result<()> {
    let enough = match needed {
        Needed::Own => return Ok(()),
        Needed::Org(role) => row.opt_parsed(0, OrgRole::parse)?.map(|held| held >= role),
        Needed::Workspace(role) => row.opt_parsed(0, WorkspaceRole::parse)?.map(|held| held >= role),
    };
    match enough {
        Some(true) => Ok(()),
        Some(false) => Err(refused(Code::Forbidden, "Your role does not allow this.")),
        None => Err(refused(Code::NotFound, "There is no such thing here.")),
    }
}

fn refused(code: Code, detail: &'static str) -> StoreError {
    StoreError::Refused(Refusal::new(code, detail))
}

#[cfg(test)]
mod tests {
    use super::{Answer, Needed, Position, collect};
    use drey_core::role::OrgRole;
    use uuid::Uuid;

    const ID: &str = "0197a3c4-0000-7000-8000-000000000001";

    fn listed(rows: &str, limit: u32) -> crate::Result<super::Page<String>> {
        let body = format!(r#"{{"results":[{{"fields":[],"rows":[]}},{{"fields":[],"rows":{rows}}}]}}"#);
        let answer = Answer::read(&body, &[&crate::org::LIST]).expect("the body is well-formed");
        collect(&answer, Needed::Org(OrgRole::Admin), limit, 3, |row| Ok(row.text(2)?.to_owned()))
    }

    #[test]
    fn one_row_more_than_the_limit_makes_a_next_page() {
        let row = format!(r#"["admin","7","{ID}","2026-11-20 21:39:07.326361+00"]"#);
        let page = listed(&format!("[{row},{row}]"), 1).expect("an admin may list");
        let at = Position {
            created_at: "2026-11-20 21:39:07.326361+00".to_owned(),
            id: Uuid::parse_str(ID).expect("a uuid"),
        };
        assert_eq!((page.items.len(), page.next, page.revision), (1, Some(at), 7));
        assert_eq!(listed(&format!("[{row}]"), 1).expect("an admin may list").next, None);
    }

    #[test]
    fn an_empty_list_still_has_its_revision() {
        let page = listed(r#"[["owner","9",null,null]]"#, 5).expect("an owner may list");
        assert_eq!((page.items.len(), page.next, page.revision), (0, None, 9));
    }

    #[test]
    fn no_role_is_not_found_and_too_little_is_forbidden() {
        let code = |rows| listed(rows, 5).expect_err("must be refused").to_string();
        assert!(code("[[null,null,null,null]]").starts_with("not-found"));
        assert!(code(r#"[["member","1",null,null]]"#).starts_with("forbidden"));
    }
}
