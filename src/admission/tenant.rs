//! Roles in an organisation or a workspace, by the gate's word.

use std::rc::Rc;

use drey_core::id::{OrgId, WorkspaceId};
use drey_core::lease::Grant;
use drey_core::limit::{LimitView, Tier};
use drey_core::refusal::Code;
use drey_core::role::{OrgRole, WorkspaceRole};
use drey_durable_objects::workspace_gate::Subject;

use super::{Admitted, Principal, api_key, gate, too_little};
use crate::call::{Access, WorkspaceAccess};
use crate::edge::boundary::{Head, Header};
use crate::edge::clock;
use crate::problem::{Outcome, Problem};
use crate::request::Request;
use crate::routes::Who;

/// `x-org-id` and `x-workspace-id` are optional; sent, they must name the tenant of the path, so that a client that
/// mixes up two tenants is told instead of served.
pub fn agree(head: &Head, parameters: &[(String, String)]) -> Outcome<()> {
    for (header, parameter) in [(Header::OrgId, "org"), (Header::WorkspaceId, "ws")] {
        let Some(sent) = head.header(header) else { continue };
        let named = parameters.iter().find(|(name, _)| name == parameter);
        if named.is_some_and(|(_, value)| value != sent) {
            return Err(mismatch());
        }
    }
    Ok(())
}

/// Below a workspace the organisation is not in the path: the gate knows it.
fn org_header_agrees(head: &Head, org: OrgId) -> Outcome<()> {
    let differs = head.header(Header::OrgId).is_some_and(|sent| sent != org.to_string());
    if differs { Err(mismatch()) } else { Ok(()) }
}

fn mismatch() -> Problem {
    let detail = "`x-org-id` or `x-workspace-id` names another tenant than the path. Send the path's, or none.";
    Problem::new(Code::TenantMismatch, detail)
}

/// Admits a caller to the organisation of the path.
pub(super) async fn by_org(request: &Request<'_>, principal: Principal, tier: Tier, cost: u32) -> Outcome<Admitted> {
    let org = request.parameter("org", OrgId::parse)?;
    refused_lately(request, &principal, org.uuid())?;
    let asked = gate::admit(request, Subject::Org(org), &principal, tier, cost).await;
    let (grant, view) = asked.map_err(|problem| remember(request, &principal, org.uuid(), problem))?;
    let role = OrgRole::parse(&grant.role).ok_or_else(Problem::not_found)?;
    if let Who::Org(needed) = request.route.policy.who
        && role < needed
    {
        return Err(too_little(needed.as_str(), role.as_str()));
    }
    let daily = grant.daily.clone();
    Ok(Admitted { access: Access::Org(principal, org, role, grant), limits: Some(view), daily })
}

/// Admits a caller to the workspace of the path: a person by his role there, a key within its scopes by its creator's.
pub(super) async fn by_workspace(
    request: &Request<'_>,
    principal: Principal,
    tier: Tier,
    cost: u32,
) -> Outcome<Admitted> {
    let workspace = request.parameter("ws", WorkspaceId::parse)?;
    own_workspace(request, &principal, workspace)?;
    let (grant, view) = enter(request, &principal, workspace, tier, cost).await?;
    let principal = api_key::at_epoch(request, principal, &grant).await?;
    if let Some(key) = &principal.key {
        api_key::permits(request, key)?;
        api_key::note_use(request, principal.user, key);
    }
    let (Some(role), Some(org)) = (WorkspaceRole::parse(&grant.role), grant.org) else {
        return Err(Problem::not_found());
    };
    org_header_agrees(request.head, org)?;
    if let Who::Workspace(needed) = request.route.policy.who
        && role < needed
    {
        return Err(too_little(needed.as_str(), role.as_str()));
    }
    let access = WorkspaceAccess { workspace, org, role };
    let daily = grant.daily.clone();
    Ok(Admitted { access: Access::Workspace(principal, access, grant), limits: Some(view), daily })
}

/// To a key every other workspace is a stranger's, also one that its creator may enter.
fn own_workspace(request: &Request<'_>, principal: &Principal, workspace: WorkspaceId) -> Outcome<()> {
    if principal.key.as_ref().is_none_or(|key| key.workspace == workspace) {
        return Ok(());
    }
    let limits = request.app.settings.effective().limits;
    request.app.strangers.may_ask(&limits, principal.named())?;
    request.app.strangers.charge(&limits, principal.named());
    Err(Problem::not_found())
}

/// One pass through the gate. A key whose creator may not enter is no key any more.
async fn enter(
    request: &Request<'_>,
    principal: &Principal,
    workspace: WorkspaceId,
    tier: Tier,
    cost: u32,
) -> Outcome<(Rc<Grant>, LimitView)> {
    let entered = async {
        refused_lately(request, principal, workspace.uuid())?;
        let asked = gate::admit(request, Subject::Workspace(workspace), principal, tier, cost).await;
        asked.map_err(|problem| remember(request, principal, workspace.uuid(), problem))
    };
    entered.await.map_err(|problem| {
        let ended = principal.key.is_some() && problem.refusal.code == Code::NotFound;
        if ended { api_key::unknown() } else { problem }
    })
}

/// A refusal that is still true. A caller who brings a revision has seen more than this isolate may remember.
fn refused_lately(request: &Request<'_>, principal: &Principal, tenant: uuid::Uuid) -> Outcome<()> {
    let told = request.least_revision()?.is_some();
    let refused = !told && request.app.remembered.absent(principal.user, tenant, clock::now_ms());
    if refused { Err(Problem::not_found()) } else { Ok(()) }
}

/// Remembers a refusal, and that it cost something: who walks through ids is charged for each like somebody unknown, and
/// who brings a revision for every question, because none is answered from memory.
fn remember(request: &Request<'_>, principal: &Principal, tenant: uuid::Uuid, problem: Problem) -> Problem {
    if problem.refusal.code != Code::NotFound {
        return problem;
    }
    let (app, now_ms) = (request.app, clock::now_ms());
    let told = request.least_revision().is_ok_and(|least| least.is_some());
    if told || !app.remembered.absent(principal.user, tenant, now_ms) {
        app.strangers.charge(&app.settings.effective().limits, principal.named());
    }
    app.remembered.refuse(principal.user, tenant, now_ms);
    problem
}
