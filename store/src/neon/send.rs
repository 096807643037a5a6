//! The only code of this crate that touches JavaScript: one POST, the clock, a random number.
//!
//! In scope: sending one body inside the deadline. Out of scope: what it says, and whether it is sent again.

use drey_core::retry::Effect;
use drey_promises::settled;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use crate::neon::config::Endpoint;
use crate::neon::error::Failure;
use crate::neon::wire;
use crate::session::Session;
use crate::statement::Call;

#[wasm_bindgen(module = "/src/neon/post.js")]
extern "C" {
    /// What [`post`] gives.
    type Posted;

    #[wasm_bindgen(method, getter)]
    fn status(this: &Posted) -> u16;

    #[wasm_bindgen(method, getter)]
    fn bytes(this: &Posted) -> Uint8Array;

    fn post(url: &str, connection: &str, read_only: bool, body: &[u8], timeout_ms: u32) -> Promise;
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    worker::Date::now().as_millis()
}

/// A random number from 0 up to 1; one half if there is no randomness, which then costs a spread and nothing else.
pub(crate) fn jitter() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / (f64::from(u32::MAX) + 1.0))
}

/// Sends the batch once and waits for status and body, at most until the deadline. Counts it.
pub(crate) async fn batch(
    endpoint: &Endpoint,
    s: &Session<'_>,
    calls: &[Call<'_>],
    effect: Effect,
    attempt: u32,
) -> Result<(u16, String), Failure> {
    let started = now_ms();
    let left = s.deadline.remaining(started);
    if left == 0 {
        return Err(Failure::Timeout);
    }
    let body = wire::body(s.caller, calls, s.trace, left).map_err(Failure::Ours)?;
    let answer = send(endpoint, &body, effect, left).await;
    let ended = now_ms();
    s.timings.record(attempt, ended.saturating_sub(started));
    answer.map_err(|error| if s.deadline.remaining(ended) == 0 { Failure::Timeout } else { network(&error) })
}

/// What JavaScript said; it never quotes a body or a header.
fn network(error: &JsValue) -> Failure {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    Failure::Network(message.unwrap_or_else(|| "the request failed without a reason".to_owned()))
}

/// Status and body. A body that is not UTF-8 is not Neon's: it is read as far as it goes and then does not parse.
async fn send(endpoint: &Endpoint, body: &str, effect: Effect, timeout_ms: u32) -> Result<(u16, String), JsValue> {
    let read_only = effect == Effect::Read;
    let posting = post(&endpoint.url, endpoint.connection.expose(), read_only, body.as_bytes(), timeout_ms);
    let posted: Posted = settled(&posting).await?.unchecked_into();
    let bytes = posted.bytes().to_vec();
    let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok((posted.status(), text))
}
