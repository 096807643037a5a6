//! What a gate must know to admit somebody.
//!
//! In scope: one look at a tenant and one of its people. Out of scope: deciding on it, and keeping it.

use drey_core::id::{OrgId, UserId, WorkspaceId};
use drey_core::retry::Effect;
use drey_core::role::{OrgRole, Plan, Region, WorkspaceRole};

use crate::Result;
use crate::neon::row::Row;
use crate::neon::{Answer, Consistency};
use crate::session::{Caller, Session};
use crate::settings::{Held, held, stored};
use crate::statement::{Call, Statement, uuid};

/// A tenant, and what a person is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateState<R> {
    /// The organisation, or the workspace's.
    pub org: OrgId,
    /// What it pays for.
    pub plan: Plan,
    /// Where its objects live.
    pub region: Region,
    /// The revision of the workspace, or of the organisation.
    pub revision: i64,
    /// Of a workspace the sum of its own and its organisation's: either narrows access to it.
    pub authz_epoch: i64,
    /// `None`: no member.
    pub role: Option<R>,
    /// What an operator has set, for everybody and for the organisation.
    pub settings: Held,
}

pub(crate) const WORKSPACE: Statement = Statement {
    name: "gate.workspace",
    sql: concat!(
        "select o.org_id, o.plan, o.region, w.revision, w.authz_epoch + o.authz_epoch as authz_epoch, workspace_role($1::uuid) as role, \
                 s.version, s.document, p.version, p.document \
          from workspace w join org o on o.org_id = w.org_id ",
        held!(of "o.org_id", on "true"),
        " where w.workspace_id = $1::uuid"
    ),
    hot: true,
};

/// The workspace as its gate sees it; `None` if there is none.
pub async fn workspace(
    s: &Session<'_>,
    workspace: WorkspaceId,
    user: UserId,
) -> Result<Option<GateState<WorkspaceRole>>> {
    let session = s.with_caller(Caller { user: Some(user), workspace: Some(workspace), ..Caller::default() });
    load(&session, WORKSPACE.with([uuid(workspace.uuid())]), WorkspaceRole::parse).await
}

pub(crate) const ORG: Statement = Statement {
    name: "gate.org",
    sql: concat!(
        "select o.org_id, o.plan, o.region, o.revision, o.authz_epoch, org_role($1::uuid) as role, \
                 s.version, s.document, p.version, p.document \
          from org o ",
        held!(of "$1::uuid", on "true"),
        " where o.org_id = $1::uuid"
    ),
    hot: true,
};

/// The organisation as its gate sees it; `None` if there is none.
pub async fn org(s: &Session<'_>, org: OrgId, user: UserId) -> Result<Option<GateState<OrgRole>>> {
    let session = s.with_caller(Caller { user: Some(user), org: Some(org), ..Caller::default() });
    load(&session, ORG.with([uuid(org.uuid())]), OrgRole::parse).await
}

async fn load<R>(
    s: &Session<'_>,
    call: Call<'_>,
    role: impl FnOnce(&str) -> Option<R>,
) -> Result<Option<GateState<R>>> {
    let decode = |answer: Answer<'_>| answer.rows(0)?.next().map(|row| state(&row, role)).transpose();
    s.neon.run(s, &[call], Effect::Read, Consistency::Primary, decode).await
}

fn state<R>(row: &Row<'_, '_>, role: impl FnOnce(&str) -> Option<R>) -> Result<GateState<R>> {
    Ok(GateState {
        org: OrgId::from_uuid(row.uuid(0)?),
        plan: row.parsed(1, Plan::parse)?,
        region: row.parsed(2, Region::parse)?,
        revision: row.i64(3)?,
        authz_epoch: row.i64(4)?,
        role: row.opt_parsed(5, role)?,
        settings: Held { own: stored(row, 6)?, platform: stored(row, 8)? },
    })
}
