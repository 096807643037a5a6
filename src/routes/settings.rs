//! Settings of the running deployment: the operator's documents for everybody and for one organisation.

use drey_core::etag::item_tag;
use drey_core::id::OrgId;
use drey_core::settings::{Effective, MOST_BYTES, Scope, Settings, Stored};
use drey_core::time::Timestamp;
use drey_durable_objects::workspace_gate::Subject;
use drey_store::Page;
use drey_store::settings::{self, Change, Held, platform};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::answer::Answer;
use crate::call::Call;
use crate::notices::Notice;
use crate::problem::{Outcome, Problem};
use crate::routes::{Limit, TABLE};

/// An empty document: nothing differs.
const NOTHING: &str = "{}";

#[derive(Serialize)]
struct View {
    version: i64,
    document: Box<RawValue>,
    effective: Effective,
}

#[derive(Serialize)]
struct ChangeView {
    version: i64,
    before: Option<Box<RawValue>>,
    after: Box<RawValue>,
    operator: &'static str,
    address: String,
    request_id: String,
    created_at: Timestamp,
}

/// Read the settings of everybody, or of an organisation.
pub(super) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = whose(call)?;
    let held = settings::get(&call.operator_session(org)?, org).await?;
    view(call, &held.ok_or_else(Problem::not_found)?)
}

/// Put a document in the place of the one that holds. It is checked whole before anything changes.
pub(super) async fn put(call: &Call<'_>) -> Outcome<Answer> {
    let (org, scope) = whose(call)?;
    let given: Settings = call.json()?;
    given.check(scope, is_route).map_err(|wrong| Problem::field(&wrong.pointer, wrong.detail))?;
    let document: serde_json::Value = call.json()?;
    let document = document.to_string();
    if document.len() > MOST_BYTES {
        return Err(Problem::field("", format!("A document has at most {MOST_BYTES} bytes.")));
    }
    let held = change(call, org, &document).await?;
    view(call, &held)
}

/// Put an empty document there: nothing differs from the environment, or from the platform's settings.
pub(super) async fn remove(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = whose(call)?;
    change(call, org, NOTHING).await?;
    Ok(Answer::no_content())
}

/// List every change, newest first.
pub(super) async fn history(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = whose(call)?;
    let (limit, after) = call.page()?;
    let Page { items, next, revision } =
        settings::history(&call.operator_session(org)?, org, limit, after.as_ref()).await?;
    let items = items.into_iter().map(change_view).collect::<Outcome<Vec<ChangeView>>>()?;
    call.list(&Page { items, next, revision })
}

/// Stores it, and tells whom it concerns: this isolate, and the organisation's gates, which ask Postgres again.
async fn change(call: &Call<'_>, org: OrgId, document: &str) -> Outcome<Held> {
    let address = &call.request.context.address;
    let put = settings::put(&call.operator_session(org)?, &call.write(None)?, org, document, address).await?.item;
    tracing::info!(target: "settings", org = org.to_string(), version = put.held.own.version, "changed");
    if org == platform() {
        call.request.app.settings.learn(&put.held.own);
        return Ok(put.held);
    }
    call.tell(Notice::Doubted(Subject::Org(org)));
    for workspace in put.workspaces {
        call.tell(Notice::Doubted(Subject::Workspace(workspace)));
    }
    Ok(put.held)
}

/// The organisation of the path, or the platform.
fn whose(call: &Call<'_>) -> Outcome<(OrgId, Scope)> {
    if !call.request.route.path.contains("{org}") {
        return Ok((platform(), Scope::Platform));
    }
    let org = call.request.parameter("org", OrgId::parse)?;
    if org == platform() { Err(Problem::not_found()) } else { Ok((org, Scope::Org)) }
}

/// Whether a row of the table has this method and path, and is limited.
fn is_route(name: &str) -> bool {
    TABLE.iter().any(|row| row.policy.limit != Limit::Free && name.split_once(' ') == Some((row.method, row.path)))
}

fn view(call: &Call<'_>, held: &Held) -> Outcome<Answer> {
    let texts = [held.platform.document.as_str(), held.own.document.as_str()];
    let effective = call.request.app.settings.base().with_stored(texts);
    let Stored { version, document } = &held.own;
    let document = raw(if document.is_empty() { NOTHING } else { document })?;
    let answer = Answer::json(200, &View { version: *version, document, effective })?;
    // What was never put has no version to name: versions begin at 1.
    if *version == 0 {
        return Ok(answer);
    }
    let tag = item_tag(*version, &answer.body);
    Ok(answer.with("etag", tag))
}

fn change_view(change: Change) -> Outcome<ChangeView> {
    Ok(ChangeView {
        version: change.version,
        before: change.before.as_deref().map(raw).transpose()?,
        after: raw(&change.after)?,
        operator: "operator",
        address: change.address,
        request_id: change.request_id,
        created_at: change.created_at,
    })
}

fn raw(text: &str) -> Outcome<Box<RawValue>> {
    RawValue::from_string(text.to_owned()).map_err(|error| Problem::internal(format!("a stored document: {error}")))
}
