//! Organisations: who pays, where data lives, whose people they are.

use drey_core::refusal::Code;
use drey_core::role::{Plan, Region};
use drey_core::text::Name;
use drey_durable_objects::workspace_gate::{News, Subject};
use drey_store::{Written, org};
use serde::Deserialize;

use crate::answer::Answer;
use crate::call::Call;
use crate::edge::random;
use crate::notices::Notice;
use crate::problem::{Outcome, Problem};
use crate::routes::written;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrgCreate {
    name: Name,
    #[serde(default)]
    region: Region,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrgUpdate {
    name: Option<Name>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrgPlan {
    plan: Plan,
}

/// Create an organisation and become its owner.
pub(super) async fn create(call: &Call<'_>) -> Outcome<Answer> {
    let body: OrgCreate = call.json()?;
    let key = call.idempotency_key()?;
    let new = org::NewOrg { id: random::org_id(), name: &body.name, region: body.region };
    let made = org::create(&call.session_in_new_org(new.id)?, &call.write(key.as_ref())?, &new).await?;
    let news = news(&made, true);
    call.tell(Notice::Created(Subject::Org(made.item.id), news, made.item.region));
    written::created(&made, format!("/v1/orgs/{}", made.item.id))
}

/// List the organisations of the caller.
pub(super) async fn list(call: &Call<'_>) -> Outcome<Answer> {
    let (limit, after) = call.page()?;
    call.list(&org::list(&call.lagging_session()?, limit, after.as_ref()).await?)
}

/// Read an organisation.
pub(super) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let read = org::get(&call.session()?, org).await?;
    written::found(&read)
}

/// Rename an organisation.
pub(super) async fn update(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let body: OrgUpdate = call.json()?;
    let changed = org::update(&call.session()?, &call.write(None)?, org, body.name.as_ref()).await?;
    call.tell(Notice::Changed(Subject::Org(org), news(&changed, false)));
    written::changed(&changed)
}

/// Delete an organisation with everything in it. Its workspaces are gone in the same transaction, so their gates and
/// rooms are told too: the first fifty at once, the rest find out when they refresh.
pub(super) async fn delete(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let gone = org::delete(&call.session()?, &call.write(None)?, org).await?;
    let news = news(&gone, true);
    call.tell(Notice::Narrowed(Subject::Org(org), news));
    for &workspace in &gone.item {
        call.tell(Notice::Narrowed(Subject::Workspace(workspace), news));
        call.tell(Notice::Closed(workspace));
    }
    Ok(written::gone(&gone))
}

/// Set the plan of a self-hosted organisation. Elsewhere the plan follows billing.
pub(super) async fn set_plan(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let body: OrgPlan = call.json()?;
    if !call.request.app.config.self_hosted {
        let detail = "The plan is set by billing here. A self-hosted drey sets SELF_HOSTED=true.";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let changed = org::set_plan(&call.session()?, &call.write(None)?, org, body.plan).await?;
    call.tell(Notice::Changed(Subject::Org(org), news(&changed, true)));
    written::changed(&changed)
}

/// What a write tells a gate.
pub(super) fn news<T>(written: &Written<T>, roles_changed: bool) -> News {
    News { revision: written.revision, authz_epoch: written.authz_epoch, roles_changed }
}
