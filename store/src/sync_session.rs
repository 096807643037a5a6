//! Sessions of sync clients: what a client is called and can, and how far it is behind.
//!
//! In scope: their rows, and the epochs of the scopes. Out of scope: the messages of a scope (`sync_read`).

use std::borrow::Cow;

use drey_core::id::{SessionId, UserId, WorkspaceId};
use drey_core::retry::Effect;
use drey_core::role::WorkspaceRole;
use drey_core::sync::{ClientId, Offset};
use drey_core::text::Name;
use drey_core::time::Timestamp;
use serde::Serialize;

use crate::Result;
use crate::neon::row::Row;
use crate::neon::{Answer, Consistency};
use crate::read::{Needed, Page, Position, Read, found, page, paging};
use crate::session::Session;
use crate::statement::{Call, Statement, number, text, uuid};
use crate::sync_push::{Retention, milliseconds};
use crate::write::{Write, Written, nothing, run, written};

/// A sitting of a client, and where the client stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SyncSession {
    /// Its id.
    pub id: SessionId,
    /// The client.
    pub client_id: String,
    /// Whose client it is.
    pub user_id: UserId,
    /// What it calls itself.
    pub client_name: String,
    /// What it says it can.
    pub capabilities: Vec<String>,
    /// The last mutation that was processed.
    pub last_mutation_id: i64,
    /// The last mutation whose outcome the client says it has.
    pub acked_mutation_id: i64,
    /// How many of its writes wait for somebody to choose.
    pub open_divergences: i64,
    /// How many epochs it was behind in the scopes it named when it began; none if it named none.
    pub behind: Option<i64>,
    /// When it last pushed or began.
    pub seen_at: Timestamp,
    /// When it is over, if nothing happens until then.
    pub expires_at: Timestamp,
    /// When it began.
    pub created_at: Timestamp,
}

/// A stream, and where it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScopeEpoch {
    /// The type of its scope.
    #[serde(rename = "type")]
    pub scope_type: String,
    /// The id of its scope.
    pub id: String,
    /// Its generation.
    pub generation: i64,
    /// Its newest epoch.
    pub epoch: i64,
}

/// Streams in the order of their keys, and after which key there are more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopePage {
    /// The streams.
    pub scopes: Vec<ScopeEpoch>,
    /// The key, `type/id`, of the last one, if more follow.
    pub next: Option<String>,
}

/// Where a client stands in one stream.
#[derive(Clone, Debug)]
pub struct At<'a> {
    /// The type of the scope.
    pub scope_type: &'a str,
    /// The id of the scope.
    pub scope_id: &'a str,
    /// The place.
    pub offset: Offset,
}

/// A session to be opened.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// Minted by the Worker.
    pub id: SessionId,
    /// The client.
    pub client: &'a ClientId,
    /// What it calls itself.
    pub name: &'a Name,
    /// Words without commas.
    pub capabilities: &'a [String],
    /// Where it stands.
    pub positions: &'a [At<'a>],
}

impl SyncSession {
    fn read(row: &Row<'_, '_>, at: usize) -> Result<Self> {
        Ok(Self {
            id: SessionId::from_uuid(row.uuid(at)?),
            client_id: row.text(at + 1)?.to_owned(),
            user_id: UserId::from_uuid(row.uuid(at + 2)?),
            client_name: row.text(at + 3)?.to_owned(),
            capabilities: row.text(at + 4)?.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            last_mutation_id: row.i64(at + 5)?,
            acked_mutation_id: row.i64(at + 6)?,
            open_divergences: row.i64(at + 7)?,
            behind: row.opt_parsed(at + 8, |text| text.parse().ok())?,
            seen_at: row.timestamp(at + 9)?,
            expires_at: row.timestamp(at + 10)?,
            created_at: row.timestamp(at + 11)?,
        })
    }
}

fn positions(places: &[At<'_>]) -> String {
    let place = |at: &At<'_>| {
        let (generation, epoch) = (at.offset.generation(), at.offset.epoch());
        serde_json::json!({ "type": at.scope_type, "id": at.scope_id, "generation": generation, "epoch": epoch })
    };
    places.iter().map(place).collect::<serde_json::Value>().to_string()
}

pub(crate) const OPEN: Statement = Statement {
    name: "sync_session.open",
    // A client that is new in this statement is not yet seen by the rest of it: it has pushed nothing.
    sql: "select t.replayed, t.revision, t.authz_epoch, t.session_id, t.client_id, t.user_id, t.name, array_to_string(t.capabilities, ','), \
                 coalesce(c.last_mutation_id, 0), coalesce(c.acked_mutation_id, 0), sync_open_divergences($6::uuid, t.client_id, $14::bigint), \
                 sync_behind($6::uuid, t.positions), t.seen_at, t.seen_at + sync_ms($13::bigint), t.created_at \
          from sync_session_open($1::text, $2::text, $3::text, $4::bytea, $5::text, $6::uuid, $7::uuid, $8::text, $9::text, $10::text, \
                                 $11::jsonb, $12::bigint, $13::bigint) t \
          left join sync_client c on c.workspace_id = $6::uuid and c.client_id = t.client_id",
    hot: false,
};

/// Opens a session in place of the client's former one, and answers the first streams with it. A replay answers the session
/// that was opened first.
pub async fn open(
    s: &Session<'_>,
    write: &Write<'_>,
    workspace: WorkspaceId,
    new: &NewSession<'_>,
    retention: Retention,
    limit: u32,
) -> Result<(Written<SyncSession>, ScopePage)> {
    let mut params = Vec::from(write.keyed());
    params.extend([
        uuid(workspace.uuid()),
        uuid(new.id.uuid()),
        text(new.client.as_str()),
        text(new.name.as_str()),
        Some(Cow::Owned(new.capabilities.join(","))),
        Some(Cow::Owned(positions(new.positions))),
        milliseconds(retention.client_ms),
        milliseconds(retention.session_ms),
        milliseconds(retention.divergence_ms),
    ]);
    let calls = [OPEN.with(params), scopes_call(workspace, limit, None)];
    let decode = |answer: Answer<'_>| {
        let opened = written(&answer, |row| SyncSession::read(row, 3))?;
        Ok((opened, scope_page(&answer, 1, limit)?))
    };
    s.neon.run(s, &calls, Effect::Idempotent, Consistency::Primary, decode).await
}

pub(crate) const SCOPES: Statement = Statement {
    name: "sync_session.scopes",
    sql: "select s.scope_type, s.scope_id, s.generation, s.epoch \
          from sync_scope s where s.workspace_id = $1::uuid and workspace_role($1::uuid) is not null \
            and (s.user_id is null or s.user_id = app_user()) \
            and (s.scope_type, s.scope_id) > (coalesce($3::text, ''), coalesce($4::text, '')) \
          order by s.scope_type, s.scope_id limit $2::bigint",
    hot: false,
};

fn scopes_call(workspace: WorkspaceId, limit: u32, after: Option<&str>) -> Call<'_> {
    let (kind, id) = after.and_then(|key| key.split_once('/')).unzip();
    let limit = number(limit.saturating_add(1));
    SCOPES.with([uuid(workspace.uuid()), limit, kind.and_then(text), id.and_then(text)])
}

fn scope_page(answer: &Answer<'_>, call: usize, limit: u32) -> Result<ScopePage> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut scopes = answer.rows(call)?.map(|row| scope(&row)).collect::<Result<Vec<_>>>()?;
    let more = scopes.len() > wanted;
    scopes.truncate(wanted);
    let next = scopes.last().filter(|_| more).map(|last| format!("{}/{}", last.scope_type, last.id));
    Ok(ScopePage { scopes, next })
}

fn scope(row: &Row<'_, '_>) -> Result<ScopeEpoch> {
    Ok(ScopeEpoch {
        scope_type: row.text(0)?.to_owned(),
        id: row.text(1)?.to_owned(),
        generation: row.i64(2)?,
        epoch: row.i64(3)?,
    })
}

pub(crate) const LIST: Statement = Statement {
    name: "sync_session.list",
    sql: "select access.role, access.revision, t.session_id, t.client_id, t.user_id, t.name, array_to_string(t.capabilities, ','), \
                 c.last_mutation_id, c.acked_mutation_id, sync_open_divergences(t.workspace_id, t.client_id, $6::bigint), \
                 sync_behind(t.workspace_id, t.positions), t.seen_at, t.seen_at + sync_ms($5::bigint), t.created_at \
          from (select workspace_role($1::uuid) as role, (select w.revision from workspace w where w.workspace_id = $1::uuid) as revision) access \
          left join lateral ( \
            select * from sync_session o where o.workspace_id = $1::uuid and access.role = 'admin' and o.seen_at > now() - sync_ms($5::bigint) \
              and (o.created_at, o.session_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) \
            order by o.created_at desc, o.session_id desc limit $2::bigint \
          ) t on true \
          left join sync_client c on c.workspace_id = t.workspace_id and c.client_id = t.client_id \
          order by t.created_at desc, t.session_id desc",
    hot: false,
};

/// The sessions of a workspace that are not over.
pub async fn list(
    s: &Session<'_>,
    workspace: WorkspaceId,
    retention: Retention,
    limit: u32,
    after: Option<&Position>,
) -> Result<Page<SyncSession>> {
    let mut params = vec![uuid(workspace.uuid())];
    params.extend(paging(limit, after));
    params.extend([milliseconds(retention.session_ms), milliseconds(retention.divergence_ms)]);
    page(s, LIST.with(params), Needed::Workspace(WorkspaceRole::Admin), limit, 13, |row| SyncSession::read(row, 2))
        .await
}

pub(crate) const GET: Statement = Statement {
    name: "sync_session.get",
    sql: "select access.role, access.revision, t.session_id, t.client_id, t.user_id, t.name, array_to_string(t.capabilities, ','), \
                 c.last_mutation_id, c.acked_mutation_id, sync_open_divergences(t.workspace_id, t.client_id, $4::bigint), \
                 sync_behind(t.workspace_id, t.positions), t.seen_at, t.seen_at + sync_ms($3::bigint), t.created_at \
          from (select workspace_role($1::uuid) as role, (select w.revision from workspace w where w.workspace_id = $1::uuid) as revision) access \
          left join sync_session t on t.workspace_id = $1::uuid and t.session_id = $2::uuid and t.seen_at > now() - sync_ms($3::bigint) \
            and (access.role = 'admin' or t.user_id = app_user()) and access.role is not null \
          left join sync_client c on c.workspace_id = t.workspace_id and c.client_id = t.client_id",
    hot: false,
};

/// One session, one's own or as an admin anybody's, and the streams after this key (`type/id`).
pub async fn get(
    s: &Session<'_>,
    workspace: WorkspaceId,
    session: SessionId,
    retention: Retention,
    limit: u32,
    after: Option<&str>,
) -> Result<(Read<SyncSession>, ScopePage)> {
    let times = [milliseconds(retention.session_ms), milliseconds(retention.divergence_ms)];
    let [session_ms, divergence_ms] = times;
    let call = GET.with([uuid(workspace.uuid()), uuid(session.uuid()), session_ms, divergence_ms]);
    let calls = [call, scopes_call(workspace, limit, after)];
    let decode = |answer: Answer<'_>| {
        let read = found(s, &answer, Needed::Workspace(WorkspaceRole::Viewer), |row| SyncSession::read(row, 2))?;
        Ok((read, scope_page(&answer, 1, limit)?))
    };
    s.neon.run(s, &calls, Effect::Read, Consistency::Primary, decode).await
}

pub(crate) const END: Statement = Statement {
    name: "sync_session.end",
    sql: "select replayed, revision, authz_epoch from sync_session_end($1::text, $2::uuid, $3::uuid)",
    hot: false,
};

/// Ends a session.
pub async fn end(
    s: &Session<'_>,
    write: &Write<'_>,
    workspace: WorkspaceId,
    session: SessionId,
) -> Result<Written<()>> {
    let params = [text(write.request), uuid(workspace.uuid()), uuid(session.uuid())];
    run(s, END.with(params), Effect::Once, nothing).await
}

#[cfg(test)]
mod tests {
    use super::{At, positions};
    use drey_core::sync::Offset;

    /// Stored with the session: what is written here is read by later Workers and by `sync_behind`.
    #[test]
    fn positions_are_stored_as_they_have_always_been() {
        let offset = Offset::new(2, 7).expect("offset");
        let at = At { scope_type: "collection", scope_id: "c", offset };
        assert_eq!(positions(&[at]), r#"[{"epoch":7,"generation":2,"id":"c","type":"collection"}]"#);
        assert_eq!(positions(&[]), "[]");
    }
}
