//! Workspaces: where people work together.
//!
//! In scope: the row of a workspace, and its list in an organisation. Out of scope: members, projects, sync.

use drey_core::id::{OrgId, WorkspaceId};
use drey_core::retry::Effect;
use drey_core::role::{OrgRole, WorkspaceRole};
use drey_core::text::{Name, Slug};
use drey_core::time::Timestamp;
use serde::Serialize;

use crate::Result;
use crate::neon::row::Row;
use crate::read::{Needed, Page, Position, Read, one, page, paging};
use crate::session::Session;
use crate::statement::{Statement, text, uuid};
use crate::write::{Write, Written, nothing, run};

/// A workspace as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// The organisation it belongs to.
    pub org_id: OrgId,
    /// What people call it.
    pub name: String,
    /// Its name in addresses, unique in the organisation.
    pub slug: String,
    /// What the caller is in it, his role in the organisation counted in.
    pub role: WorkspaceRole,
    /// Grows by one with each change of the row.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}

/// A workspace to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewWorkspace<'a> {
    /// Minted by the Worker, so that it can repeat a create whose answer was lost.
    pub id: WorkspaceId,
    /// What people call it.
    pub name: &'a Name,
    /// Its name in addresses.
    pub slug: &'a Slug,
}

impl Workspace {
    fn read(row: &Row<'_, '_>, at: usize) -> Result<Self> {
        Ok(Self {
            id: WorkspaceId::from_uuid(row.uuid(at)?),
            org_id: OrgId::from_uuid(row.uuid(at + 1)?),
            name: row.text(at + 2)?.to_owned(),
            slug: row.text(at + 3)?.to_owned(),
            role: row.parsed(at + 4, WorkspaceRole::parse)?,
            version: row.i64(at + 5)?,
            created_at: row.timestamp(at + 6)?,
            updated_at: row.timestamp(at + 7)?,
        })
    }
}

pub(crate) const CREATE: Statement = Statement {
    name: "workspace.create",
    sql: "select replayed, revision, authz_epoch, workspace_id, org_id, name, slug, role, version, created_at, updated_at \
          from workspace_create($1::text, $2::text, $3::text, $4::bytea, $5::text, $6::uuid, $7::uuid, $8::text, $9::text)",
    hot: false,
};

/// Makes a workspace; the caller becomes its admin. The revision answered is the organisation's, whose list has grown.
pub async fn create(
    s: &Session<'_>,
    write: &Write<'_>,
    org: OrgId,
    new: &NewWorkspace<'_>,
) -> Result<Written<Workspace>> {
    let mut params = Vec::from(write.keyed());
    params.extend([uuid(org.uuid()), uuid(new.id.uuid()), text(new.name.as_str()), text(new.slug.as_str())]);
    run(s, CREATE.with(params), Effect::Idempotent, |row| Workspace::read(row, 3)).await
}

/// Two ways to one list: owners and admins see every workspace, members those they were added to. The one whose role does not
/// hold costs nothing, and each walks the index that is made for it.
pub(crate) const LIST: Statement = Statement {
    name: "workspace.list",
    sql: "select access.role, access.revision, w.workspace_id, w.org_id, w.name, w.slug, w.role, w.version, w.created_at, w.updated_at \
          from (select org_role($1::uuid) as role, (select o.revision from org o where o.org_id = $1::uuid) as revision) access \
          left join lateral ( \
            (select t.*, 'admin' as role from workspace t where t.org_id = $1::uuid and access.role in ('owner', 'admin') \
               and (t.created_at, t.workspace_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) \
             order by t.created_at desc, t.workspace_id desc limit $2::bigint) \
            union all \
            (select t.*, m.role from workspace_member m join workspace t on t.workspace_id = m.workspace_id \
             where m.org_id = $1::uuid and m.user_id = app_user() and access.role = 'member' \
               and (m.workspace_created_at, m.workspace_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) \
             order by m.workspace_created_at desc, m.workspace_id desc limit $2::bigint) \
          ) w on true \
          order by w.created_at desc, w.workspace_id desc",
    hot: true,
};

/// The workspaces of an organisation that the caller may enter.
pub async fn list(s: &Session<'_>, org: OrgId, limit: u32, after: Option<&Position>) -> Result<Page<Workspace>> {
    let mut params = vec![uuid(org.uuid())];
    params.extend(paging(limit, after));
    page(s, LIST.with(params), Needed::Org(OrgRole::Member), limit, 8, |row| Workspace::read(row, 2)).await
}

pub(crate) const GET: Statement = Statement {
    name: "workspace.get",
    sql: "select access.role, w.revision, w.workspace_id, w.org_id, w.name, w.slug, access.role, w.version, w.created_at, w.updated_at \
          from (select workspace_role($1::uuid) as role) access \
          left join workspace w on w.workspace_id = $1::uuid and access.role is not null",
    hot: true,
};

/// One workspace.
pub async fn get(s: &Session<'_>, workspace: WorkspaceId) -> Result<Read<Workspace>> {
    let call = GET.with([uuid(workspace.uuid())]);
    one(s, call, Needed::Workspace(WorkspaceRole::Viewer), |row| Workspace::read(row, 2)).await
}

pub(crate) const UPDATE: Statement = Statement {
    name: "workspace.update",
    sql: "select replayed, revision, authz_epoch, workspace_id, org_id, name, slug, role, version, created_at, updated_at \
          from workspace_update($1::text, $2::bigint[], $3::uuid, $4::text, $5::text)",
    hot: false,
};

/// Changes name or slug.
pub async fn update(
    s: &Session<'_>,
    write: &Write<'_>,
    workspace: WorkspaceId,
    name: Option<&Name>,
    slug: Option<&Slug>,
) -> Result<Written<Workspace>> {
    let mut params = Vec::from(write.guarded());
    params.extend([
        uuid(workspace.uuid()),
        name.and_then(|name| text(name.as_str())),
        slug.and_then(|slug| text(slug.as_str())),
    ]);
    run(s, UPDATE.with(params), write.change(), |row| Workspace::read(row, 3)).await
}

pub(crate) const DELETE: Statement = Statement {
    name: "workspace.delete",
    sql: "select replayed, revision, authz_epoch from workspace_delete($1::text, $2::bigint[], $3::uuid)",
    hot: false,
};

/// Deletes a workspace and everything in it.
pub async fn delete(s: &Session<'_>, write: &Write<'_>, workspace: WorkspaceId) -> Result<Written<()>> {
    let mut params = Vec::from(write.guarded());
    params.push(uuid(workspace.uuid()));
    run(s, DELETE.with(params), Effect::Once, nothing).await
}
