//! Projects: the parts of a workspace.

use drey_core::id::ProjectId;
use drey_core::text::{Description, Name, Slug};
use drey_durable_objects::workspace_gate::Subject;
use drey_store::project;
use serde::Deserialize;

use crate::answer::Answer;
use crate::call::Call;
use crate::edge::random;
use crate::notices::Notice;
use crate::problem::Outcome;
use crate::routes::orgs::news;
use crate::routes::written;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectCreate {
    name: Name,
    slug: Option<Slug>,
    #[serde(default)]
    description: Description,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectUpdate {
    name: Option<Name>,
    slug: Option<Slug>,
    description: Option<Description>,
}

/// Create a project.
pub(super) async fn create(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let body: ProjectCreate = call.json()?;
    let slug = body.slug.unwrap_or_else(|| Slug::from_name(&body.name));
    let id = random::project_id();
    let new = project::NewProject { id, name: &body.name, slug: &slug, description: &body.description };
    let key = call.idempotency_key()?;
    let made = project::create(&call.session()?, &call.write(key.as_ref())?, workspace, &new).await?;
    call.tell(Notice::Changed(Subject::Workspace(workspace), news(&made, false)));
    written::created(&made, format!("/v1/workspaces/{workspace}/projects/{}", made.item.id))
}

/// List projects.
pub(super) async fn list(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let (limit, after) = call.page()?;
    call.list(&project::list(&call.session()?, workspace, limit, after.as_ref()).await?)
}

/// Read a project.
pub(super) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let id = call.request.parameter("project", ProjectId::parse)?;
    let read = project::get(&call.session()?, workspace, id).await?;
    written::found(&read)
}

/// Change a project.
pub(super) async fn update(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let id = call.request.parameter("project", ProjectId::parse)?;
    let body: ProjectUpdate = call.json()?;
    let change = project::ProjectChange {
        name: body.name.as_ref(),
        slug: body.slug.as_ref(),
        description: body.description.as_ref(),
    };
    let changed = project::update(&call.session()?, &call.write(None)?, workspace, id, &change).await?;
    call.tell(Notice::Changed(Subject::Workspace(workspace), news(&changed, false)));
    written::changed(&changed)
}

/// Delete a project and its documents.
pub(super) async fn delete(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let id = call.request.parameter("project", ProjectId::parse)?;
    let gone = project::delete(&call.session()?, &call.write(None)?, workspace, id).await?;
    call.tell(Notice::Changed(Subject::Workspace(workspace), news(&gone, false)));
    Ok(written::gone(&gone))
}
