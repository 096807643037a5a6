//! Divergences: writes that were kept beside what stands, and their resolution.
//!
//! In scope: their rows, and the write that ends one. Out of scope: how they come about (`sync_push`), what a value may be (core).

use drey_core::id::{DivergenceId, UserId, WorkspaceId};
use drey_core::retry::Effect;
use drey_core::role::WorkspaceRole;
use drey_core::time::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::Result;
use crate::neon::row::Row;
use crate::read::{Needed, Page, Position, Read, one, page, paging};
use crate::session::Session;
use crate::statement::{Param, Statement, number, text, uuid};
use crate::sync_push::milliseconds;
use crate::write::{Write, Written, run};

/// A scope or an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Thing {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// One of the two writes.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Who; none where nothing had been written.
    pub user_id: Option<UserId>,
    /// By which client.
    pub client_id: Option<String>,
    /// As which of its mutations.
    pub mutation_id: Option<i64>,
    /// What it had seen.
    pub clock: Box<RawValue>,
    /// Whether it is a delete.
    pub deleted: bool,
    /// Byte for byte, null for a delete; absent from lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<RawValue>>,
}

/// How a divergence ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolution {
    /// `mine`, `theirs` or `value`.
    pub take: String,
    /// Who decided.
    pub resolved_by: UserId,
    /// When.
    pub resolved_at: Timestamp,
    /// The version that was written.
    pub version: i64,
}

/// Two writes, of which one stands and somebody is to choose.
#[derive(Clone, Debug, Serialize)]
pub struct Divergence {
    /// Its id, which is also the client id of the mutation that resolves it.
    pub id: DivergenceId,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// Where.
    pub scope: Thing,
    /// Of what.
    pub entity: Thing,
    /// What mine was made from.
    pub base_version: Option<i64>,
    /// Its value, null if it was deleted or is in the log no more; absent from lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Box<RawValue>>,
    /// The write that was not applied.
    pub mine: Side,
    /// The write that stood.
    pub theirs: Side,
    /// Its version; 0 if nothing had been written.
    pub version: i64,
    /// When they met.
    pub created_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
    /// How it ended; none while it is open.
    pub resolution: Option<Resolution>,
}

fn json(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(text.to_owned()).ok()
}

/// The columns of a side: user, client, mutation, clock, whether it is a delete.
fn side(row: &Row<'_, '_>, at: usize) -> Result<Side> {
    Ok(Side {
        user_id: row.opt_uuid(at)?.map(UserId::from_uuid),
        client_id: row.opt_text(at + 1)?.map(str::to_owned),
        mutation_id: row.opt_parsed(at + 2, |text| text.parse().ok())?,
        clock: row.parsed(at + 3, json)?,
        deleted: row.bool(at + 4)?,
        value: None,
    })
}

fn thing(row: &Row<'_, '_>, at: usize) -> Result<Thing> {
    Ok(Thing { kind: row.text(at)?.to_owned(), id: row.text(at + 1)?.to_owned() })
}

/// The columns of a resolution, NULL while there is none: take, by, at, version.
fn resolution(row: &Row<'_, '_>, at: usize) -> Result<Option<Resolution>> {
    if row.is_null(at) {
        return Ok(None);
    }
    Ok(Some(Resolution {
        take: row.text(at)?.to_owned(),
        resolved_by: UserId::from_uuid(row.uuid(at + 1)?),
        resolved_at: row.timestamp(at + 2)?,
        version: row.i64(at + 3)?,
    }))
}

impl Divergence {
    /// Columns from 2 on, as both statements have them.
    fn read(row: &Row<'_, '_>) -> Result<Self> {
        Ok(Self {
            id: DivergenceId::from_uuid(row.uuid(2)?),
            workspace_id: WorkspaceId::from_uuid(row.uuid(3)?),
            scope: thing(row, 4)?,
            entity: thing(row, 6)?,
            base_version: row.opt_parsed(8, |text| text.parse().ok())?,
            base: None,
            mine: side(row, 9)?,
            theirs: side(row, 14)?,
            version: row.i64(19)?,
            created_at: row.timestamp(20)?,
            expires_at: row.timestamp(21)?,
            resolution: resolution(row, 22)?,
        })
    }

    /// The same with the three values that follow.
    fn read_whole(row: &Row<'_, '_>) -> Result<Self> {
        let value = |column| row.parsed(column, json).map(Some);
        let mut whole = Self::read(row)?;
        whole.base = value(26)?;
        whole.mine.value = value(27)?;
        whole.theirs.value = value(28)?;
        Ok(whole)
    }
}

pub(crate) const LIST: Statement = Statement {
    name: "sync_divergence.list",
    sql: "select access.role, access.revision, d.divergence_id, d.workspace_id, d.scope_type, d.scope_id, d.entity_type, d.entity_id, d.base_version, \
                 d.mine_user_id, d.mine_client_id, d.mine_mutation_id, d.mine_clock, d.mine is null, \
                 d.theirs_user_id, d.theirs_client_id, d.theirs_mutation_id, d.theirs_clock, d.theirs is null, \
                 d.version, d.created_at, d.created_at + sync_ms($7::bigint), d.resolved_take, d.resolved_by, d.resolved_at, d.resolved_version \
          from (select workspace_role($1::uuid) as role, (select w.revision from workspace w where w.workspace_id = $1::uuid) as revision) access \
          left join lateral ( \
            select * from sync_divergence t where t.workspace_id = $1::uuid and access.role is not null \
              and t.resolved_at is null and t.created_at > now() - sync_ms($7::bigint) \
              and ($5::text is null or (t.scope_type = $5::text and t.scope_id = $6::text)) \
              and (t.created_at, t.divergence_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) \
            order by t.created_at desc, t.divergence_id desc limit $2::bigint \
          ) d on true \
          order by d.created_at desc, d.divergence_id desc",
    hot: false,
};

/// The open ones of a workspace, or of one scope (type and id) of it.
pub async fn list(
    s: &Session<'_>,
    workspace: WorkspaceId,
    scope: Option<(&str, &str)>,
    retention_ms: u64,
    limit: u32,
    after: Option<&Position>,
) -> Result<Page<Divergence>> {
    let mut params = vec![uuid(workspace.uuid())];
    params.extend(paging(limit, after));
    let (scope_type, scope_id) = scope.unzip();
    params.extend([scope_type.and_then(text), scope_id.and_then(text), milliseconds(retention_ms)]);
    page(s, LIST.with(params), Needed::Workspace(WorkspaceRole::Viewer), limit, 20, Divergence::read).await
}

pub(crate) const GET: Statement = Statement {
    name: "sync_divergence.get",
    sql: "select access.role, access.revision, d.divergence_id, d.workspace_id, d.scope_type, d.scope_id, d.entity_type, d.entity_id, d.base_version, \
                 d.mine_user_id, d.mine_client_id, d.mine_mutation_id, d.mine_clock, d.mine is null, \
                 d.theirs_user_id, d.theirs_client_id, d.theirs_mutation_id, d.theirs_clock, d.theirs is null, \
                 d.version, d.created_at, d.created_at + sync_ms($3::bigint), d.resolved_take, d.resolved_by, d.resolved_at, d.resolved_version, \
                 coalesce(d.base::text, 'null'), coalesce(d.mine::text, 'null'), coalesce(d.theirs::text, 'null') \
          from (select workspace_role($1::uuid) as role, (select w.revision from workspace w where w.workspace_id = $1::uuid) as revision) access \
          left join sync_divergence d on d.workspace_id = $1::uuid and d.divergence_id = $2::uuid and access.role is not null \
            and d.created_at > now() - sync_ms($3::bigint)",
    hot: false,
};

/// One of them with its values, resolved or not.
pub async fn get(
    s: &Session<'_>,
    workspace: WorkspaceId,
    divergence: DivergenceId,
    retention_ms: u64,
) -> Result<Read<Divergence>> {
    let call = GET.with([uuid(workspace.uuid()), uuid(divergence.uuid()), milliseconds(retention_ms)]);
    one(s, call, Needed::Workspace(WorkspaceRole::Viewer), Divergence::read_whole).await
}

/// What is to stand from now on.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// `mine`, `theirs` or `value`.
    pub take: &'a str,
    /// The value of `value`.
    pub value: Option<&'a str>,
    /// The version of the entity that the resolver has seen; none: the one of the divergence.
    pub version: Option<i64>,
}

/// What a resolver is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// He has decided.
    Done(Decided),
    /// Somebody else had.
    Lost(Resolution),
    /// The entity is at another version than the one he has seen: this.
    Moved(i64),
}

/// A resolution and the mutation it made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// The divergence.
    pub id: DivergenceId,
    /// Where.
    pub scope: Thing,
    /// Of what.
    pub entity: Thing,
    /// Who chose what, and the version of it.
    pub resolution: Resolution,
    /// Where the scope stands since then: generation and epoch. For who waits there, not for who resolved.
    #[serde(skip)]
    pub stands: (i64, i64),
}

pub(crate) const RESOLVE: Statement = Statement {
    name: "sync_divergence.resolve",
    sql: "select replayed, revision, authz_epoch, answer, divergence_id, scope_type, scope_id, entity_type, entity_id, take, resolved_by, resolved_at, version, generation, epoch \
          from sync_resolve($1::text, $2::text, $3::text, $4::bytea, $5::text, $6::uuid, $7::uuid, $8::text, $9::json, $10::bigint, $11::bigint)",
    hot: false,
};

/// Ends a divergence by a mutation in the log.
pub async fn resolve(
    s: &Session<'_>,
    write: &Write<'_>,
    workspace: WorkspaceId,
    divergence: DivergenceId,
    choice: &Choice<'_>,
    retention_ms: u64,
) -> Result<Written<Resolved>> {
    let mut params: Vec<Param<'_>> = Vec::from(write.keyed());
    params.extend([
        uuid(workspace.uuid()),
        uuid(divergence.uuid()),
        text(choice.take),
        choice.value.and_then(text),
        choice.version.and_then(number),
        milliseconds(retention_ms),
    ]);
    run(s, RESOLVE.with(params), Effect::Idempotent, resolved).await
}

fn resolved(row: &Row<'_, '_>) -> Result<Resolved> {
    if row.text(3)? == "moved" {
        return Ok(Resolved::Moved(row.i64(12)?));
    }
    let Some(resolution) = resolution(row, 9)? else { return row.parsed(9, |_| None) };
    if row.text(3)? == "lost" {
        return Ok(Resolved::Lost(resolution));
    }
    let id = DivergenceId::from_uuid(row.uuid(4)?);
    let stands = (row.i64(13)?, row.i64(14)?);
    Ok(Resolved::Done(Decided { id, scope: thing(row, 5)?, entity: thing(row, 7)?, resolution, stands }))
}
