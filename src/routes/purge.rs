//! Ending our own copies of public answers before their time.

use drey_core::cache::tags;
use drey_durable_objects::workspace_gate::GateClient;
use serde::Deserialize;
use serde_json::json;

use crate::admission::gate_unavailable;
use crate::answer::Answer;
use crate::call::Call;
use crate::edge::clock;
use crate::problem::{Outcome, Problem};
use crate::routes::TABLE;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CachePurge {
    tags: Vec<String>,
}

/// End our own copies of public answers, by tag. Copies of a CDN in front are ended by the same tags at the CDN.
pub(super) async fn purge(call: &Call<'_>) -> Outcome<Answer> {
    let CachePurge { tags } = call.json()?;
    let known = known();
    if let Some(at) = tags.iter().position(|tag| !known.contains(tag)) {
        return Err(Problem::field(&format!("/tags/{at}"), format!("must be one of {}", known.join(", "))));
    }
    if tags.is_empty() || tags.len() > known.len() {
        return Err(Problem::field("/tags", format!("must hold 1 to {} tags", known.len())));
    }
    let client = GateClient { env: call.request.env, timeout_ms: call.request.remaining_ms() };
    let sent_ms = clock::now_ms();
    let versions = client.raise_tags(&tags).await.map_err(|error| gate_unavailable(&error.to_string()))?;
    call.request.app.tags.learn(&versions, sent_ms);
    tracing::info!(target: "cache", tags = tags.join(","), "purged");
    Answer::json(200, &json!({ "versions": versions }))
}

/// The tags of all public rows: an unknown one would be kept for ever and end nothing.
fn known() -> Vec<String> {
    let rows = TABLE.iter().filter(|route| route.policy.cache.is_public());
    let mut tags: Vec<String> = rows.flat_map(|route| tags::of(route.path)).collect();
    tags.sort();
    tags.dedup();
    tags
}
