//! Members of an organisation.
//!
//! In scope: who they are and what role they have. Out of scope: how people come in (`invitation`).

use drey_core::id::{OrgId, UserId, WorkspaceId};
use drey_core::retry::Effect;
use drey_core::role::OrgRole;
use drey_core::time::Timestamp;
use serde::Serialize;

use crate::Result;
use crate::neon::row::Row;
use crate::org::workspaces;
use crate::read::{Needed, Page, Position, Read, one, page, paging};
use crate::session::Session;
use crate::statement::{Statement, text, uuid};
use crate::write::{Write, Written, run};

/// A member of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrgMember {
    /// The user.
    pub user_id: UserId,
    /// As his last token said.
    pub email: Option<String>,
    /// As his last token said.
    pub name: Option<String>,
    /// What he is in the organisation.
    pub role: OrgRole,
    /// Grows by one with each change of the membership.
    pub version: i64,
    /// When he joined.
    pub created_at: Timestamp,
}

/// What changing a role answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The member as he is now.
    pub member: OrgMember,
    /// The organisation's newest workspaces, where his role may have changed with it.
    pub workspaces: Vec<WorkspaceId>,
    /// Whether he may do less than before.
    pub narrowed: bool,
}

impl OrgMember {
    fn read(row: &Row<'_, '_>, at: usize) -> Result<Self> {
        Ok(Self {
            user_id: UserId::from_uuid(row.uuid(at)?),
            email: row.opt_text(at + 1)?.map(str::to_owned),
            name: row.opt_text(at + 2)?.map(str::to_owned),
            role: row.parsed(at + 3, OrgRole::parse)?,
            version: row.i64(at + 4)?,
            created_at: row.timestamp(at + 5)?,
        })
    }
}

pub(crate) const LIST: Statement = Statement {
    name: "org_member.list",
    sql: "select access.role, access.revision, m.user_id, u.email, u.name, m.role, m.version, m.created_at \
          from (select org_role($1::uuid) as role, (select o.revision from org o where o.org_id = $1::uuid) as revision) access \
          left join lateral ( \
            select * from org_member t where t.org_id = $1::uuid and access.role is not null \
              and (t.created_at, t.user_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) \
            order by t.created_at desc, t.user_id desc limit $2::bigint \
          ) m on true \
          left join user_account u on u.user_id = m.user_id \
          order by m.created_at desc, m.user_id desc",
    hot: true,
};

/// The members of an organisation.
pub async fn list(s: &Session<'_>, org: OrgId, limit: u32, after: Option<&Position>) -> Result<Page<OrgMember>> {
    let mut params = vec![uuid(org.uuid())];
    params.extend(paging(limit, after));
    page(s, LIST.with(params), Needed::Org(OrgRole::Member), limit, 7, |row| OrgMember::read(row, 2)).await
}

pub(crate) const GET: Statement = Statement {
    name: "org_member.get",
    sql: "select access.role, access.revision, m.user_id, u.email, u.name, m.role, m.version, m.created_at \
          from (select org_role($1::uuid) as role, (select o.revision from org o where o.org_id = $1::uuid) as revision) access \
          left join org_member m on m.org_id = $1::uuid and m.user_id = $2::uuid and access.role is not null \
          left join user_account u on u.user_id = m.user_id",
    hot: false,
};

/// One member.
pub async fn get(s: &Session<'_>, org: OrgId, user: UserId) -> Result<Read<OrgMember>> {
    let call = GET.with([uuid(org.uuid()), uuid(user.uuid())]);
    one(s, call, Needed::Org(OrgRole::Member), |row| OrgMember::read(row, 2)).await
}

pub(crate) const PUT: Statement = Statement {
    name: "org_member.put",
    sql: "select replayed, revision, authz_epoch, user_id, email, name, role, version, created_at, workspace_ids, narrowed \
          from org_member_put($1::text, $2::bigint[], $3::uuid, $4::uuid, $5::text)",
    hot: false,
};

/// Changes the role of a member.
pub async fn put(
    s: &Session<'_>,
    write: &Write<'_>,
    org: OrgId,
    user: UserId,
    role: OrgRole,
) -> Result<Written<Changed>> {
    let mut params = Vec::from(write.guarded());
    params.extend([uuid(org.uuid()), uuid(user.uuid()), text(role.as_str())]);
    run(s, PUT.with(params), write.change(), |row| {
        Ok(Changed { member: OrgMember::read(row, 3)?, workspaces: workspaces(row, 9)?, narrowed: row.bool(10)? })
    })
    .await
}

pub(crate) const REMOVE: Statement = Statement {
    name: "org_member.remove",
    sql: "select replayed, revision, authz_epoch, workspace_ids from org_member_remove($1::text, $2::bigint[], $3::uuid, $4::uuid)",
    hot: false,
};

/// Removes a member, and with him his memberships of the organisation's workspaces. Answers the newest of these.
pub async fn remove(s: &Session<'_>, write: &Write<'_>, org: OrgId, user: UserId) -> Result<Written<Vec<WorkspaceId>>> {
    let mut params = Vec::from(write.guarded());
    params.extend([uuid(org.uuid()), uuid(user.uuid())]);
    run(s, REMOVE.with(params), Effect::Once, |row| workspaces(row, 3)).await
}
