//! Organisations: the tenants that pay, and the roots of all others.
//!
//! In scope: the row of an organisation, and its list for a user. Out of scope: members, invitations, workspaces.

use drey_core::id::{OrgId, WorkspaceId};
use drey_core::retry::Effect;
use drey_core::role::{OrgRole, Plan, Region};
use drey_core::text::Name;
use drey_core::time::Timestamp;
use serde::Serialize;

use crate::Result;
use crate::neon::row::Row;
use crate::read::{Needed, Page, Position, Read, one, page, paging};
use crate::session::{Caller, Session};
use crate::statement::{Statement, text, uuid};
use crate::write::{Write, Written, run};

/// An organisation as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Org {
    /// Its id.
    pub id: OrgId,
    /// What people call it.
    pub name: String,
    /// What it pays for.
    pub plan: Plan,
    /// Where its objects are created.
    pub region: Region,
    /// What the caller is in it.
    pub role: OrgRole,
    /// Grows by one with each change of the row.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}

/// An organisation to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewOrg<'a> {
    /// Minted by the Worker, so that it can repeat a create whose answer was lost.
    pub id: OrgId,
    /// What people call it.
    pub name: &'a Name,
    /// Where its objects are created.
    pub region: Region,
}

impl Org {
    /// Reads the eight columns from `at` on.
    pub(crate) fn read(row: &Row<'_, '_>, at: usize) -> Result<Self> {
        Ok(Self {
            id: OrgId::from_uuid(row.uuid(at)?),
            name: row.text(at + 1)?.to_owned(),
            plan: row.parsed(at + 2, Plan::parse)?,
            region: row.parsed(at + 3, Region::parse)?,
            role: row.parsed(at + 4, OrgRole::parse)?,
            version: row.i64(at + 5)?,
            created_at: row.timestamp(at + 6)?,
            updated_at: row.timestamp(at + 7)?,
        })
    }
}

pub(crate) const CREATE: Statement = Statement {
    name: "org.create",
    sql: "select replayed, revision, authz_epoch, org_id, name, plan, region, role, version, created_at, updated_at \
          from org_create($1::text, $2::text, $3::text, $4::bytea, $5::text, $6::uuid, $7::text, $8::text)",
    hot: false,
};

/// Makes an organisation; the caller becomes its owner.
pub async fn create(s: &Session<'_>, write: &Write<'_>, new: &NewOrg<'_>) -> Result<Written<Org>> {
    let mut params = Vec::from(write.keyed());
    params.extend([uuid(new.id.uuid()), text(new.name.as_str()), text(new.region.as_str())]);
    let session = s.with_caller(Caller { org: Some(new.id), workspace: None, ..s.caller });
    run(&session, CREATE.with(params), Effect::Idempotent, |row| Org::read(row, 3)).await
}

pub(crate) const LIST: Statement = Statement {
    name: "org.list",
    sql: "select null as role, 0 as revision, o.org_id, o.name, o.plan, o.region, m.role as member_role, o.version, o.created_at, o.updated_at \
          from org_member m join org o on o.org_id = m.org_id \
          where m.user_id = app_user() \
            and (m.org_created_at, m.org_id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) \
          order by m.org_created_at desc, m.org_id desc limit $1::bigint",
    hot: true,
};

/// The organisations the caller is a member of.
pub async fn list(s: &Session<'_>, limit: u32, after: Option<&Position>) -> Result<Page<Org>> {
    page(s, LIST.with(paging(limit, after)), Needed::Own, limit, 8, |row| Org::read(row, 2)).await
}

pub(crate) const GET: Statement = Statement {
    name: "org.get",
    sql: "select access.role, o.revision, o.org_id, o.name, o.plan, o.region, access.role, o.version, o.created_at, o.updated_at \
          from (select org_role($1::uuid) as role) access \
          left join org o on o.org_id = $1::uuid and access.role is not null",
    hot: true,
};

/// One organisation.
pub async fn get(s: &Session<'_>, org: OrgId) -> Result<Read<Org>> {
    one(s, GET.with([uuid(org.uuid())]), Needed::Org(OrgRole::Member), |row| Org::read(row, 2)).await
}

pub(crate) const UPDATE: Statement = Statement {
    name: "org.update",
    sql: "select replayed, revision, authz_epoch, org_id, name, plan, region, role, version, created_at, updated_at \
          from org_update($1::text, $2::bigint[], $3::uuid, $4::text)",
    hot: false,
};

/// Renames an organisation.
pub async fn update(s: &Session<'_>, write: &Write<'_>, org: OrgId, name: Option<&Name>) -> Result<Written<Org>> {
    let mut params = Vec::from(write.guarded());
    params.extend([uuid(org.uuid()), name.and_then(|name| text(name.as_str()))]);
    run(s, UPDATE.with(params), write.change(), |row| Org::read(row, 3)).await
}

pub(crate) const SET_PLAN: Statement = Statement {
    name: "org.set_plan",
    sql: "select replayed, revision, authz_epoch, org_id, name, plan, region, role, version, created_at, updated_at \
          from org_set_plan($1::text, $2::bigint[], $3::uuid, $4::text)",
    hot: false,
};

/// Puts an organisation on another plan.
pub async fn set_plan(s: &Session<'_>, write: &Write<'_>, org: OrgId, plan: Plan) -> Result<Written<Org>> {
    let mut params = Vec::from(write.guarded());
    params.extend([uuid(org.uuid()), text(plan.as_str())]);
    run(s, SET_PLAN.with(params), write.change(), |row| Org::read(row, 3)).await
}

pub(crate) const DELETE: Statement = Statement {
    name: "org.delete",
    sql: "select replayed, revision, authz_epoch, workspace_ids from org_delete($1::text, $2::bigint[], $3::uuid)",
    hot: false,
};

/// Deletes an organisation and everything in it. Answers its newest workspaces, whose gates and rooms have to know.
pub async fn delete(s: &Session<'_>, write: &Write<'_>, org: OrgId) -> Result<Written<Vec<WorkspaceId>>> {
    let mut params = Vec::from(write.guarded());
    params.push(uuid(org.uuid()));
    run(s, DELETE.with(params), Effect::Once, |row| workspaces(row, 3)).await
}

/// The workspaces that a change of the whole organisation is to be told to, newest first.
pub(crate) fn workspaces(row: &Row<'_, '_>, column: usize) -> Result<Vec<WorkspaceId>> {
    Ok(row.uuids(column)?.into_iter().map(WorkspaceId::from_uuid).collect())
}
