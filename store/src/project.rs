//! Projects of a workspace.
//!
//! In scope: their rows. Out of scope: what is synchronised in them.

use drey_core::id::{ProjectId, WorkspaceId};
use drey_core::retry::Effect;
use drey_core::role::WorkspaceRole;
use drey_core::text::{Description, Name, Slug};
use drey_core::time::Timestamp;
use serde::Serialize;

use crate::Result;
use crate::neon::row::Row;
use crate::read::{Needed, Page, Position, Read, one, page, paging};
use crate::session::Session;
use crate::statement::{Statement, text, uuid};
use crate::write::{Write, Written, nothing, run};

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// The workspace it belongs to.
    pub workspace_id: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// Its name in addresses, unique in the workspace.
    pub slug: String,
    /// What it is about.
    pub description: String,
    /// Grows by one with each change of the row.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}

/// A project to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewProject<'a> {
    /// Minted by the Worker, so that it can repeat a create whose answer was lost.
    pub id: ProjectId,
    /// What people call it.
    pub name: &'a Name,
    /// Its name in addresses.
    pub slug: &'a Slug,
    /// What it is about.
    pub description: &'a Description,
}

/// A change of a project; what is `None` stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProjectChange<'a> {
    /// What people call it.
    pub name: Option<&'a Name>,
    /// Its name in addresses.
    pub slug: Option<&'a Slug>,
    /// What it is about.
    pub description: Option<&'a Description>,
}

impl Project {
    fn read(row: &Row<'_, '_>, at: usize) -> Result<Self> {
        Ok(Self {
            id: ProjectId::from_uuid(row.uuid(at)?),
            workspace_id: WorkspaceId::from_uuid(row.uuid(at + 1)?),
            name: row.text(at + 2)?.to_owned(),
            slug: row.text(at + 3)?.to_owned(),
            description: row.text(at + 4)?.to_owned(),
            version: row.i64(at + 5)?,
            created_at: row.timestamp(at + 6)?,
            updated_at: row.timestamp(at + 7)?,
        })
    }
}

pub(crate) const CREATE: Statement = Statement {
    name: "project.create",
    sql: "select replayed, revision, authz_epoch, project_id, workspace_id, name, slug, description, version, created_at, updated_at \
          from project_create($1::text, $2::text, $3::text, $4::bytea, $5::text, $6::uuid, $7::uuid, $8::text, $9::text, $10::text)",
    hot: false,
};

/// Makes a project.
pub async fn create(
    s: &Session<'_>,
    write: &Write<'_>,
    workspace: WorkspaceId,
    new: &NewProject<'_>,
) -> Result<Written<Project>> {
    let mut params = Vec::from(write.keyed());
    params.extend([
        uuid(workspace.uuid()),
        uuid(new.id.uuid()),
        text(new.name.as_str()),
        text(new.slug.as_str()),
        text(new.description.as_str()),
    ]);
    run(s, CREATE.with(params), Effect::Idempotent, |row| Project::read(row, 3)).await
}

pub(crate) const LIST: Statement = Statement {
    name: "project.list",
    sql: "select role, revision, project_id, workspace_id, name, slug, description, version, created_at, updated_at \
          from project_page($1::uuid, $2::bigint, $3::timestamptz, $4::uuid)",
    hot: true,
};

/// The projects of a workspace.
pub async fn list(
    s: &Session<'_>,
    workspace: WorkspaceId,
    limit: u32,
    after: Option<&Position>,
) -> Result<Page<Project>> {
    let mut params = vec![uuid(workspace.uuid())];
    params.extend(paging(limit, after));
    page(s, LIST.with(params), Needed::Workspace(WorkspaceRole::Viewer), limit, 8, |row| Project::read(row, 2)).await
}

pub(crate) const GET: Statement = Statement {
    name: "project.get",
    sql: "select access.role, access.revision, p.project_id, p.workspace_id, p.name, p.slug, p.description, p.version, p.created_at, p.updated_at \
          from (select workspace_role($1::uuid) as role, (select w.revision from workspace w where w.workspace_id = $1::uuid) as revision) access \
          left join project p on p.workspace_id = $1::uuid and p.project_id = $2::uuid and access.role is not null",
    hot: true,
};

/// One project.
pub async fn get(s: &Session<'_>, workspace: WorkspaceId, project: ProjectId) -> Result<Read<Project>> {
    let call = GET.with([uuid(workspace.uuid()), uuid(project.uuid())]);
    one(s, call, Needed::Workspace(WorkspaceRole::Viewer), |row| Project::read(row, 2)).await
}

pub(crate) const UPDATE: Statement = Statement {
    name: "project.update",
    sql: "select replayed, revision, authz_epoch, project_id, workspace_id, name, slug, description, version, created_at, updated_at \
          from project_update($1::text, $2::bigint[], $3::uuid, $4::uuid, $5::text, $6::text, $7::text)",
    hot: false,
};

/// Changes a project.
pub async fn update(
    s: &Session<'_>,
    write: &Write<'_>,
    workspace: WorkspaceId,
    project: ProjectId,
    change: &ProjectChange<'_>,
) -> Result<Written<Project>> {
    let mut params = Vec::from(write.guarded());
    params.extend([
        uuid(workspace.uuid()),
        uuid(project.uuid()),
        change.name.and_then(|name| text(name.as_str())),
        change.slug.and_then(|slug| text(slug.as_str())),
        change.description.and_then(|description| text(description.as_str())),
    ]);
    run(s, UPDATE.with(params), write.change(), |row| Project::read(row, 3)).await
}

pub(crate) const DELETE: Statement = Statement {
    name: "project.delete",
    sql: "select replayed, revision, authz_epoch from project_delete($1::text, $2::bigint[], $3::uuid, $4::uuid)",
    hot: false,
};

/// Deletes a project and its stream.
pub async fn delete(
    s: &Session<'_>,
    write: &Write<'_>,
    workspace: WorkspaceId,
    project: ProjectId,
) -> Result<Written<()>> {
    let mut params = Vec::from(write.guarded());
    params.extend([uuid(workspace.uuid()), uuid(project.uuid())]);
    run(s, DELETE.with(params), Effect::Once, nothing).await
}
