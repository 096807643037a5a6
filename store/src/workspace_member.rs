//! Members of a workspace.
//!
//! In scope: who was added to it, and as what. Out of scope: owners and admins of the organisation, who may enter it without.

use drey_core::id::{UserId, WorkspaceId};
use drey_core::retry::Effect;
use drey_core::role::WorkspaceRole;
use drey_core::time::Timestamp;
use serde::Serialize;

use crate::Result;
use crate::neon::row::Row;
use crate::read::{Needed, Page, Position, Read, one, page, paging};
use crate::session::Session;
use crate::statement::{Statement, text, uuid};
use crate::write::{Write, Written, nothing, run};

/// A member of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkspaceMember {
    /// The user.
    pub user_id: UserId,
    /// As his last token said.
    pub email: Option<String>,
    /// As his last token said.
    pub name: Option<String>,
    /// What he is in the workspace.
    pub role: WorkspaceRole,
    /// Grows by one with each change of the membership.
    pub version: i64,
    /// When he was added.
    pub created_at: Timestamp,
}

impl WorkspaceMember {
    fn read(row: &Row<'_, '_>, at: usize) -> Result<Self> {
        Ok(Self {
            user_id: UserId::from_uuid(row.uuid(at)?),
            email: row.opt_text(at + 1)?.map(str::to_owned),
            name: row.opt_text(at + 2)?.map(str::to_owned),
            role: row.parsed(at + 3, WorkspaceRole::parse)?,
            version: row.i64(at + 4)?,
            created_at: row.timestamp(at + 5)?,
        })
    }
}

pub(crate) const LIST: Statement = Statement {
    name: "workspace_member.list",
    sql: "select access.role, access.revision, m.user_id, u.email, u.name, m.role, m.version, m.created_at \
          from (select workspace_role($1::uuid) as role, (select w.revision from workspace w where w.workspace_id = $1::uuid) as revision) access \
          left join lateral ( \
            select * from workspace_member t where t.workspace_id = $1::uuid and access.role is not null \
              and (t.created_at, t.user_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) \
            order by t.created_at desc, t.user_id desc limit $2::bigint \
          ) m on true \
          left join user_account u on u.user_id = m.user_id \
          order by m.created_at desc, m.user_id desc",
    hot: true,
};

/// The members of a workspace.
pub async fn list(
    s: &Session<'_>,
    workspace: WorkspaceId,
    limit: u32,
    after: Option<&Position>,
) -> Result<Page<WorkspaceMember>> {
    let mut params = vec![uuid(workspace.uuid())];
    params.extend(paging(limit, after));
    page(s, LIST.with(params), Needed::Workspace(WorkspaceRole::Viewer), limit, 7, |row| WorkspaceMember::read(row, 2))
        .await
}

pub(crate) const GET: Statement = Statement {
    name: "workspace_member.get",
    sql: "select access.role, access.revision, m.user_id, u.email, u.name, m.role, m.version, m.created_at \
          from (select workspace_role($1::uuid) as role, (select w.revision from workspace w where w.workspace_id = $1::uuid) as revision) access \
          left join workspace_member m on m.workspace_id = $1::uuid and m.user_id = $2::uuid and access.role is not null \
          left join user_account u on u.user_id = m.user_id",
    hot: false,
};

/// One member.
pub async fn get(s: &Session<'_>, workspace: WorkspaceId, user: UserId) -> Result<Read<WorkspaceMember>> {
    let call = GET.with([uuid(workspace.uuid()), uuid(user.uuid())]);
    one(s, call, Needed::Workspace(WorkspaceRole::Viewer), |row| WorkspaceMember::read(row, 2)).await
}

pub(crate) const PUT: Statement = Statement {
    name: "workspace_member.put",
    sql: "select replayed, revision, authz_epoch, user_id, email, name, role, version, created_at \
          from workspace_member_put($1::text, $2::bigint[], $3::uuid, $4::uuid, $5::text)",
    hot: false,
};

/// Adds a member of the organisation, or changes his role.
pub async fn put(
    s: &Session<'_>,
    write: &Write<'_>,
    workspace: WorkspaceId,
    user: UserId,
    role: WorkspaceRole,
) -> Result<Written<WorkspaceMember>> {
    let mut params = Vec::from(write.guarded());
    params.extend([uuid(workspace.uuid()), uuid(user.uuid()), text(role.as_str())]);
    run(s, PUT.with(params), write.change(), |row| WorkspaceMember::read(row, 3)).await
}

pub(crate) const REMOVE: Statement = Statement {
    name: "workspace_member.remove",
    sql: "select replayed, revision, authz_epoch from workspace_member_remove($1::text, $2::bigint[], $3::uuid, $4::uuid)",
    hot: false,
};

/// Takes a member out of the workspace.
pub async fn remove(s: &Session<'_>, write: &Write<'_>, workspace: WorkspaceId, user: UserId) -> Result<Written<()>> {
    let mut params = Vec::from(write.guarded());
    params.extend([uuid(workspace.uuid()), uuid(user.uuid())]);
    run(s, REMOVE.with(params), Effect::Once, nothing).await
}
