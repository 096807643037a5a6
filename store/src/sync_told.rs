//! What a write has just added to a scope's log, for those who wait for it there.
//!
//! In scope: reading it in the write's own transaction, so that nobody has to ask Postgres afterwards. Out of scope: who waits.

use drey_core::id::WorkspaceId;

use crate::neon::Answer;
use crate::statement::{Call, Statement, number, text, uuid};
use crate::sync_read::message;

/// A scope that a write may move while somebody waits there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The type of the scope.
    pub scope_type: String,
    /// Its id.
    pub scope_id: String,
    /// How many changes the write makes there at most.
    pub most: usize,
}

/// A feed is told so many bytes; more than that it reads itself.
const MOST_BYTES: u32 = 64 * 1024;

/// The changes that this very transaction has made: the scope's row is locked by it, so they are the last ones, without a
/// gap. None if it made none, or more bytes of them than are told.
pub(crate) const TOLD: Statement = Statement {
    name: "sync.told",
    sql: concat!(
        "select '[' || string_agg(",
        message!(),
        ", ',' order by m.server_epoch) || ']' \
         from sync_scope s \
         join sync_change m on m.workspace_id = $1::uuid and m.scope_type = $2::text and m.scope_id = $3::text \
          and m.server_epoch > s.epoch - $4::bigint and m.server_epoch <= s.epoch \
          and m.txid = pg_current_xact_id_if_assigned()::text::bigint \
         where s.workspace_id = $1::uuid and s.scope_type = $2::text and s.scope_id = $3::text \
         having sum(m.bytes) <= $5::bigint"
    ),
    hot: true,
};

impl Telling {
    /// The statement that follows the write's.
    pub(crate) fn call(&self, workspace: WorkspaceId) -> Call<'_> {
        TOLD.with([
            uuid(workspace.uuid()),
            text(&self.scope_type),
            text(&self.scope_id),
            number(i64::try_from(self.most).unwrap_or(i64::MAX)),
            number(MOST_BYTES),
        ])
    }
}

/// The messages of each telling, a JSON array, if there are any to tell; the write was the call before them.
pub(crate) fn told(answer: &mut Answer<'_>, tellings: &[Telling]) -> Vec<Option<String>> {
    (1..=tellings.len()).map(|call| answer.take(call, 0)).collect()
}
