//! The people of an organisation.

use drey_core::id::{OrgId, UserId, WorkspaceId};
use drey_core::role::OrgRole;
use drey_durable_objects::workspace_gate::{News, Subject};
use drey_store::{Written, org_member};
use serde::Deserialize;

use crate::answer::Answer;
use crate::call::Call;
use crate::notices::Notice;
use crate::problem::Outcome;
use crate::routes::orgs::news;
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
    written::found(&read)
}

/// Change the role of a member. The last owner stays one.
pub(super) async fn put(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let user = call.user_parameter()?;
    let body: OrgMemberPut = call.json()?;
    let changed = org_member::put(&call.session()?, &call.write(None)?, org, user, body.role).await?;
    tell(call, org, changed.item.narrowed.then_some(user), &changed, &changed.item.workspaces);
    written::changed(&changed.map(|changed| changed.member))
}

/// Remove a member, or leave. His memberships of workspaces end with it.
pub(super) async fn remove(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let user = call.user_parameter()?;
    let removed = org_member::remove(&call.session()?, &call.write(None)?, org, user).await?;
    tell(call, org, Some(user), &removed, &removed.item);
    Ok(written::gone(&removed))
}

/// A role in an organisation is a role in its workspaces: the newest fifty are told before the answer, the rest refresh.
/// Who may do less than before leaves their rooms; where he still may, he comes back.
fn tell<T>(call: &Call<'_>, org: OrgId, narrowed: Option<UserId>, written: &Written<T>, workspaces: &[WorkspaceId]) {
    call.tell(Notice::Narrowed(Subject::Org(org), news(written, true)));
    let unknown = News { revision: 0, authz_epoch: 0, roles_changed: true };
    for &workspace in workspaces {
        call.tell(Notice::Narrowed(Subject::Workspace(workspace), unknown));
        if let Some(user) = narrowed {
            call.tell(Notice::Removed(workspace, user));
        }
    }
}
