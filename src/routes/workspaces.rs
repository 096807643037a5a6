//! Workspaces: where a team's projects, documents and presence live.

use drey_core::text::{Name, Slug};
use drey_durable_objects::workspace_gate::{News, Subject};
use drey_store::workspace;
use serde::Deserialize;

use crate::answer::Answer;
use crate::call::Call;
use crate::edge::random;
use crate::notices::Notice;
use crate::problem::Outcome;
use crate::routes::orgs::news;
use crate::routes::written;

/// What Postgres gives a workspace that was just made.
const FIRST_REVISION: i64 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkspaceCreate {
    name: Name,
    slug: Option<Slug>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkspaceUpdate {
    name: Option<Name>,
    slug: Option<Slug>,
}

/// Create a workspace and become its admin. Its gate is created in the region of the organisation.
pub(super) async fn create(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let body: WorkspaceCreate = call.json()?;
    let slug = body.slug.unwrap_or_else(|| Slug::from_name(&body.name));
    let new = workspace::NewWorkspace { id: random::workspace_id(), name: &body.name, slug: &slug };
    let key = call.idempotency_key()?;
    let session = call.session_in_new_workspace(new.id)?;
    let made = workspace::create(&session, &call.write(key.as_ref())?, org, &new).await?;
    call.tell(Notice::Changed(Subject::Org(org), news(&made, false)));
    if let Some(grant) = call.grant() {
        let first = News { revision: FIRST_REVISION, authz_epoch: 0, roles_changed: true };
        call.tell(Notice::Created(Subject::Workspace(made.item.id), first, grant.region));
    }
    written::created(&made, format!("/v1/workspaces/{}", made.item.id))
}

/// List the workspaces the caller can enter.
pub(super) async fn list(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let (limit, after) = call.page()?;
    call.list(&workspace::list(&call.session()?, org, limit, after.as_ref()).await?)
}

/// Read a workspace.
pub(super) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    let access = call.workspace()?;
    let read = workspace::get(&call.session()?, access.workspace).await?;
    written::found(&read)
}

/// Change a workspace's name or slug.
pub(super) async fn update(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let body: WorkspaceUpdate = call.json()?;
    let (name, slug) = (body.name.as_ref(), body.slug.as_ref());
    let changed = workspace::update(&call.session()?, &call.write(None)?, workspace, name, slug).await?;
    call.tell(Notice::Changed(Subject::Workspace(workspace), news(&changed, false)));
    written::changed(&changed)
}

/// Delete a workspace with everything in it.
pub(super) async fn delete(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let gone = workspace::delete(&call.session()?, &call.write(None)?, workspace).await?;
    call.tell(Notice::Narrowed(Subject::Workspace(workspace), news(&gone, true)));
    call.tell(Notice::Closed(workspace));
    Ok(written::gone(&gone))
}
