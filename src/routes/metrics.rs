//! What the operator's monitoring scrapes.

use drey_core::metrics::MEDIA_TYPE;
use drey_core::refusal::Code;
use drey_durable_objects::metrics::MetricsClient;

use crate::answer::Answer;
use crate::call::Call;
use crate::problem::{Outcome, Problem};

/// Tell how this deployment is doing. Isolates report every five seconds, so what is told is that old at most.
pub(super) async fn text(call: &Call<'_>) -> Outcome<Answer> {
    let client = MetricsClient { env: call.request.env, timeout_ms: call.request.remaining_ms() };
    let text = client.read().await;
    let text = text.map_err(|error| Problem::unavailable(Code::UpstreamUnavailable, error.to_string(), 1))?;
    Ok(Answer::bytes(200, MEDIA_TYPE, text.into_bytes()))
}
