//! The state of a scope at an epoch, page by page.
//!
//! In scope: one page as the State messages of the wire. Out of scope: its address.

use drey_core::id::WorkspaceId;
use drey_core::retry::Effect;

use crate::neon::{Answer, Consistency};
use crate::session::Session;
use crate::statement::{Statement, number, text, uuid};
use crate::sync_read::visible;
use crate::{Result, StoreError};

/// A page, and what it was read of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The scope's generation.
    pub generation: i64,
    /// Its newest epoch.
    pub epoch: i64,
    /// Changes up to here have been truncated: the log does not go on from below.
    pub floor: i64,
    /// The revision of the workspace in the same snapshot.
    pub revision: i64,
    /// A JSON array of State messages, values byte for byte.
    pub messages: String,
    /// Type and id of the last entity.
    pub last: Option<(String, String)>,
    /// Whether there are more pages.
    pub closed: bool,
    /// Whether this is the whole page: not where the log has been truncated past what an entity was then.
    pub exact: bool,
}

pub(crate) const PAGE: Statement = Statement {
    name: "sync.snapshot",
    sql: concat!(
        "with ",
        visible!(),
        " select scope.generation, scope.epoch, scope.floor, scope.revision, page.closed, page.exact, page.last_type, page.last_id, page.messages \
          from scope cross join lateral sync_snapshot($1::uuid, $2::text, $3::text, $4::bigint, $5::text, $6::text, $7::int) page"
    ),
    hot: false,
};

/// The page of the state after `epoch` that follows the entity `after`. `None` if the caller may not know of such a scope.
pub async fn page(
    s: &Session<'_>,
    workspace: WorkspaceId,
    scope_type: &str,
    scope_id: &str,
    epoch: i64,
    after: Option<(&str, &str)>,
    max_bytes: u32,
) -> Result<Option<Page>> {
    let (after_type, after_id) = after.unwrap_or_default();
    let call = PAGE.with([
        uuid(workspace.uuid()),
        text(scope_type),
        text(scope_id),
        number(epoch),
        text(after_type),
        text(after_id),
        number(max_bytes),
    ]);
    s.neon.run(s, &[call], Effect::Read, Consistency::Primary, decode).await
}

fn decode(mut answer: Answer<'_>) -> Result<Option<Page>> {
    let Some(row) = answer.rows(0)?.next() else { return Ok(None) };
    let mut page = Page {
        generation: row.i64(0)?,
        epoch: row.i64(1)?,
        floor: row.i64(2)?,
        revision: row.i64(3)?,
        closed: row.bool(4)?,
        exact: row.bool(5)?,
        last: row.opt_text(6)?.zip(row.opt_text(7)?).map(|(kind, id)| (kind.to_owned(), id.to_owned())),
        messages: String::new(),
    };
    page.messages = answer.take(0, 8).ok_or_else(|| StoreError::fault("sync.snapshot: no messages column"))?;
    Ok(Some(page))
}
