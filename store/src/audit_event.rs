//! The audit: who changed what.
//!
//! In scope: reading it. Out of scope: writing it, which every write function does itself.

use drey_core::id::{ApiKeyId, DivergenceId, EventId, InvitationId, OrgId, ProjectId, UserId, WorkspaceId};
use drey_core::role::WorkspaceRole;
use drey_core::time::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::Result;
use crate::neon::row::Row;
use crate::read::{Needed, Page, Position, page, paging};
use crate::session::Session;
use crate::statement::{Statement, uuid};

/// What an event was done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// `org`, `user`, `invitation`, `workspace`, `project` or `api_key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its `TypeID`.
    pub id: String,
}

/// One event.
#[derive(Clone, Debug, Serialize)]
pub struct AuditEvent {
    /// Its id.
    pub id: EventId,
    /// The organisation it happened in.
    pub org_id: OrgId,
    /// The workspace it concerns.
    pub workspace_id: Option<WorkspaceId>,
    /// Who did it.
    pub actor_id: Option<UserId>,
    /// What was done, `thing.verb`.
    pub action: String,
    /// What it was done to.
    pub target: Target,
    /// What else is worth knowing, as JSON.
    pub detail: Box<RawValue>,
    /// The request that did it.
    pub request_id: String,
    /// When.
    pub created_at: Timestamp,
}

impl AuditEvent {
    fn read(row: &Row<'_, '_>, at: usize) -> Result<Self> {
        let kind = row.text(at + 5)?;
        Ok(Self {
            id: EventId::from_uuid(row.uuid(at)?),
            org_id: OrgId::from_uuid(row.uuid(at + 1)?),
            workspace_id: row.opt_uuid(at + 2)?.map(WorkspaceId::from_uuid),
            actor_id: row.opt_uuid(at + 3)?.map(UserId::from_uuid),
            action: row.text(at + 4)?.to_owned(),
            target: Target { kind: kind.to_owned(), id: target_id(kind, row.uuid(at + 6)?) },
            detail: row.parsed(at + 7, |text| RawValue::from_string(text.to_owned()).ok())?,
            request_id: row.text(at + 8)?.to_owned(),
            created_at: row.timestamp(at + 9)?,
        })
    }
}

/// The id as the API shows it. Stored events outlive this code: an unknown kind keeps its bare UUID.
fn target_id(kind: &str, id: Uuid) -> String {
    match kind {
        "org" => OrgId::from_uuid(id).to_string(),
        "user" => UserId::from_uuid(id).to_string(),
        "invitation" => InvitationId::from_uuid(id).to_string(),
        "workspace" => WorkspaceId::from_uuid(id).to_string(),
        "api_key" => ApiKeyId::from_uuid(id).to_string(),
        "project" => ProjectId::from_uuid(id).to_string(),
        "divergence" => DivergenceId::from_uuid(id).to_string(),
        _ => id.to_string(),
    }
}

pub(crate) const LIST: Statement = Statement {
    name: "audit_event.list",
    sql: "select access.role, access.revision, e.event_id, e.org_id, e.workspace_id, e.actor_id, e.action, e.target_type, e.target_id, e.detail, \
                 e.request_id, e.created_at \
          from (select workspace_role(w.workspace_id) as role, w.revision, w.org_id, w.workspace_id \
                from (select 1) one left join workspace w on w.workspace_id = $1::uuid) access \
          left join lateral ( \
            select * from audit_event t where t.org_id = access.org_id and t.workspace_id = access.workspace_id and access.role = 'admin' \
              and (t.created_at, t.event_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) \
            order by t.created_at desc, t.event_id desc limit $2::bigint \
          ) e on true \
          order by e.created_at desc, e.event_id desc",
    hot: false,
};

/// The events of a workspace.
pub async fn list(
    s: &Session<'_>,
    workspace: WorkspaceId,
    limit: u32,
    after: Option<&Position>,
) -> Result<Page<AuditEvent>> {
    let mut params = vec![uuid(workspace.uuid())];
    params.extend(paging(limit, after));
    page(s, LIST.with(params), Needed::Workspace(WorkspaceRole::Admin), limit, 11, |row| AuditEvent::read(row, 2)).await
}
