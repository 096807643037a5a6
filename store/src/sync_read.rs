//! Reading a scope's stream: one chunk of its log.
//!
//! In scope: the chunk after an epoch, as the State messages of the wire. Out of scope: offsets and headers.

use drey_core::id::WorkspaceId;
use drey_core::retry::Effect;

use crate::neon::{Answer, Consistency};
use crate::session::Session;
use crate::statement::{Statement, number, text, uuid};
use crate::{Result, StoreError};

/// A part of a scope's log: the changes with start < epoch ≤ end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The scope's generation: an offset of another one is gone.
    pub generation: i64,
    /// The newest epoch of the scope, when this was read.
    pub epoch: i64,
    /// Changes up to here have been truncated.
    pub floor: i64,
    /// The epoch this was asked to begin after.
    pub start: i64,
    /// The epoch of the last message; `start` if there is none.
    pub end: i64,
    /// A JSON array of State messages, values byte for byte.
    pub messages: String,
    /// Whether the next message did not fit: this chunk will never change.
    pub closed: bool,
    /// The revision of the workspace in the same snapshot: what a copy of a closed chunk is filed under.
    pub revision: i64,
}

/// A row `m` of the log as its message on the wire: whoever tells one tells the same.
macro_rules! message {
    () => {
        "'{\"type\":' || to_json(m.entity_type)::text || ',\"key\":' || to_json(m.entity_type || '/' || m.entity_id)::text \
         || coalesce(',\"value\":' || m.value::text, '') \
         || ',\"headers\":{\"operation\":\"' || m.operation || '\",\"txid\":\"' || m.txid \
         || '\",\"timestamp\":\"' || to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
         || '\",\"client_id\":' || to_json(m.client_id)::text || ',\"mutation_id\":' || m.mutation_id || ',\"version\":' || m.server_epoch || '}}'"
    };
}
pub(crate) use message;

/// The scope of a read as a part of `with`, `$1` to `$3` being workspace, type and id: no row where the caller may not know of it. One
/// that was never written, or is a person's own, is asked of the thing itself; one that has a row exists.
macro_rules! visible {
    () => {
        "scope as materialized ( \
            select coalesce(s.generation, 1) as generation, coalesce(s.epoch, 0) as epoch, coalesce(s.floor, 0) as floor, access.revision \
            from (select workspace_role($1::uuid) as role, (select w.revision from workspace w where w.workspace_id = $1::uuid) as revision) access \
            left join sync_scope s on s.workspace_id = $1::uuid and s.scope_type = $2::text and s.scope_id = $3::text \
            where access.role is not null \
              and case when s.scope_id is null or s.user_id is not null then sync_thing_exists($1::uuid, $2::text, $3::text) else true end )"
    };
}
pub(crate) use visible;

/// One statement, one snapshot: epoch, floor and messages agree. `bytes` bounds each message from above, so the cut is found on the
/// index' rows before any value is touched, and is the same for every reader. A chunk has at most 1,000 messages. Epochs have no gaps, so
/// the next 1,001 rows are the next 1,001 epochs: as a range they bound what is read under any plan, which a limit does not.
pub(crate) const READ: Statement = Statement {
    name: "sync.read",
    sql: concat!(
        "with ",
        visible!(),
        ", sized as ( \
            select c.server_epoch, sum(c.bytes) over (order by c.server_epoch) as total, row_number() over (order by c.server_epoch) as n \
            from (select t.server_epoch, t.bytes from sync_change t \
                  where exists (select 1 from scope) and t.workspace_id = $1::uuid and t.scope_type = $2::text and t.scope_id = $3::text \
                    and t.server_epoch > $4::bigint and t.server_epoch <= $4::bigint + 1001) c \
          ), cut as ( \
            select coalesce(max(z.server_epoch) filter (where z.n <= 1000 and (z.total <= $5::bigint or z.n = 1)), $4::bigint) as last, \
                   coalesce(max(z.server_epoch), $4::bigint) as seen from sized z \
          ) \
          select scope.generation, scope.epoch, scope.floor, cut.last, cut.seen > cut.last as closed, scope.revision, '[' || coalesce(( \
            select string_agg(",
        message!(),
        ", ',' order by m.server_epoch) \
            from sync_change m \
            where m.workspace_id = $1::uuid and m.scope_type = $2::text and m.scope_id = $3::text \
              and m.server_epoch > $4::bigint and m.server_epoch <= cut.last), '') || ']' as messages \
          from scope cross join cut"
    ),
    hot: true,
};

/// Where a scope stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The scope's generation.
    pub generation: i64,
    /// Its newest epoch.
    pub epoch: i64,
    /// Changes up to here have been truncated.
    pub floor: i64,
    /// Grows whenever somebody loses access to the workspace, by himself or with the organisation.
    pub authz_epoch: i64,
}

pub(crate) const NEWEST: Statement = Statement {
    name: "sync.newest",
    sql: "select coalesce(s.generation, 1), coalesce(s.epoch, 0), coalesce(s.floor, 0), w.authz_epoch + o.authz_epoch \
          from workspace w join org o on o.org_id = w.org_id \
          left join sync_scope s on s.workspace_id = $1::uuid and s.scope_type = $2::text and s.scope_id = $3::text \
          where w.workspace_id = $1::uuid and workspace_role($1::uuid) is not null",
    hot: true,
};

/// Where a scope stands; a scope without a row is generation 1 at epoch 0. `None` if the caller has no role.
pub async fn newest(
    s: &Session<'_>,
    workspace: WorkspaceId,
    scope_type: &str,
    scope_id: &str,
) -> Result<Option<Newest>> {
    let call = NEWEST.with([uuid(workspace.uuid()), text(scope_type), text(scope_id)]);
    let decode = |answer: Answer<'_>| {
        let Some(row) = answer.rows(0)?.next() else { return Ok(None) };
        Ok(Some(Newest { generation: row.i64(0)?, epoch: row.i64(1)?, floor: row.i64(2)?, authz_epoch: row.i64(3)? }))
    };
    s.neon.run(s, &[call], Effect::Read, Consistency::Primary, decode).await
}

/// The changes after this epoch (0: from the beginning), at most about `max_bytes` of them but always one if there is one.
/// `None` if the caller may not know of such a scope; a scope that was never written is generation 1 at epoch 0.
pub async fn read(
    s: &Session<'_>,
    workspace: WorkspaceId,
    scope_type: &str,
    scope_id: &str,
    after: i64,
    max_bytes: u32,
) -> Result<Option<Chunk>> {
    let call = READ.with([uuid(workspace.uuid()), text(scope_type), text(scope_id), number(after), number(max_bytes)]);
    s.neon.run(s, &[call], Effect::Read, Consistency::Primary, |answer| chunk(answer, after)).await
}

fn chunk(mut answer: Answer<'_>, start: i64) -> Result<Option<Chunk>> {
    let Some(row) = answer.rows(0)?.next() else { return Ok(None) };
    let mut chunk = Chunk {
        generation: row.i64(0)?,
        epoch: row.i64(1)?,
        floor: row.i64(2)?,
        start,
        end: row.i64(3)?,
        messages: String::new(),
        closed: row.bool(4)?,
        revision: row.i64(5)?,
    };
    chunk.messages = answer.take(0, 6).ok_or_else(|| StoreError::fault("sync.read: no messages column"))?;
    Ok(Some(chunk))
}

#[cfg(test)]
mod tests {
    use super::chunk;
    use crate::neon::Answer;

    fn read(rows: &str) -> Option<super::Chunk> {
        let body = format!(r#"{{"results":[{{"fields":[],"rows":[]}},{{"fields":[],"rows":{rows}}}]}}"#);
        chunk(Answer::read(&body, &[&super::READ]).expect("it is an answer"), 3).expect("it can be read")
    }

    #[test]
    fn a_chunk_is_the_row_and_its_messages() {
        let chunk = read(r#"[["1","9","0","5","t","4","[{\"type\":\"request\"}]"]]"#).expect("there is one");
        assert_eq!((chunk.generation, chunk.epoch, chunk.start, chunk.end, chunk.closed), (1, 9, 3, 5, true));
        assert_eq!(chunk.revision, 4);
        assert_eq!(chunk.messages, r#"[{"type":"request"}]"#);
        assert_eq!(read("[]"), None);
    }
}
