//! The people of a workspace.
//!
//! Reads of them are never filed: names and addresses come from each person's own tokens, and change without a new
//! revision of any workspace.

use drey_core::role::WorkspaceRole;
use drey_durable_objects::workspace_gate::Subject;
use drey_store::workspace_member;
use serde::Deserialize;

use crate::answer::{Answer, Keep};
use crate::call::Call;
use crate::notices::Notice;
use crate::problem::Outcome;
use crate::routes::orgs::news;
use crate::routes::written;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkspaceMemberPut {
    role: WorkspaceRole,
}

/// List the members of a workspace.
pub(super) async fn list(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let (limit, after) = call.page()?;
    let page = workspace_member::list(&call.session()?, workspace, limit, after.as_ref()).await?;
    Ok(call.list(&page)?.keep(Keep::Never))
}

/// Read a member of a workspace.
pub(super) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let read = workspace_member::get(&call.session()?, workspace, call.user_parameter()?).await?;
    Ok(written::found(&read)?.keep(Keep::Never))
}

/// Add a member, or change a role. A person has to be in the organisation first.
pub(super) async fn put(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let user = call.user_parameter()?;
    let body: WorkspaceMemberPut = call.json()?;
    let changed = workspace_member::put(&call.session()?, &call.write(None)?, workspace, user, body.role).await?;
    call.request.app.remembered.forget(user, workspace.uuid());
    call.tell(Notice::Narrowed(Subject::Workspace(workspace), news(&changed, true)));
    written::changed(&changed)
}

/// Remove a member, or leave.
pub(super) async fn remove(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let user = call.user_parameter()?;
    let removed = workspace_member::remove(&call.session()?, &call.write(None)?, workspace, user).await?;
    call.tell(Notice::Narrowed(Subject::Workspace(workspace), news(&removed, true)));
    call.tell(Notice::Removed(workspace, user));
    Ok(written::gone(&removed))
}
