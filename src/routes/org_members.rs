//! The people of an organisation.

use drey_core::id::{OrgId, UserId};
use drey_core::role::OrgRole;
use drey_durable_objects::workspace_gate::Subject;
use drey_store::{Written, org, org_member};
use serde::Deserialize;

use crate::answer::{Answer, Keep};
use crate::call::Call;
use crate::notices::Notice;
use crate::problem::Outcome;
use crate::routes::orgs::{MOST_TOLD_AT_ONCE, news};
use crate::routes::written;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrgMemberPut {
    role: OrgRole,
}

/// List the members of an organisation.
pub(super) async fn list(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let (limit, after) = call.page()?;
    call.list(&org_member::list(&call.session()?, org, limit, after.as_ref()).await?)
}

/// Read a member of an organisation.
pub(super) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let read = org_member::get(&call.session()?, org, call.user_parameter()?).await?;
    Ok(written::item(&read.item, read.item.version)?.keep(Keep::AtRevision(read.revision)))
}

/// Change the role of a member. The last owner stays one.
pub(super) async fn put(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let user = call.user_parameter()?;
    let body: OrgMemberPut = call.json()?;
    let changed = org_member::put(&call.session()?, &call.write(None)?, org, user, body.role).await?;
    tell(call, org, None, &changed).await?;
    written::changed(&changed, changed.item.version)
}

/// Remove a member, or leave. His memberships of workspaces end with it.
pub(super) async fn remove(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let user = call.user_parameter()?;
    let removed = org_member::remove(&call.session()?, &call.write(None)?, org, user).await?;
    tell(call, org, Some(user), &removed).await?;
    Ok(written::gone(&removed))
}

/// A role in an organisation is a role in its workspaces: the first fifty are told before the answer, the rest refresh.
async fn tell<T>(call: &Call<'_>, org: OrgId, removed: Option<UserId>, written: &Written<T>) -> Outcome<()> {
    let news = news(written, true);
    call.tell(Notice::Narrowed(Subject::Org(org), news));
    let session = call.session()?;
    for workspace in org::workspace_ids(&session, org, MOST_TOLD_AT_ONCE).await.unwrap_or_default() {
        call.tell(Notice::Narrowed(
            Subject::Workspace(workspace),
            drey_durable_objects::workspace_gate::News { revision: 0, authz_epoch: 0, roles_changed: true },
        ));
        if let Some(user) = removed {
            call.tell(Notice::Removed(workspace, user));
        }
    }
    Ok(())
}
