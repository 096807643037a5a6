//! The only code of this crate that touches JavaScript: one POST, the clock, a random number.
//!
//! In scope: sending one body inside the deadline. Out of scope: what it says, and whether it is sent again.

use drey_core::retry::Effect;
use worker::web_sys;
use worker::{AbortSignal, Fetch, Headers, Method, Request, RequestInit, RequestRedirect};

use crate::neon::config::Endpoint;
use crate::neon::error::Failure;
use crate::neon::wire;
use crate::session::Session;
use crate::statement::Call;

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
    let request = request(endpoint, &body, effect).map_err(|error| network(&error))?;
    let answer = post(request, left).await;
    let ended = now_ms();
    s.timings.record(attempt, ended.saturating_sub(started));
    answer.map_err(|error| if s.deadline.remaining(ended) == 0 { Failure::Timeout } else { network(&error) })
}

/// What JavaScript said; it never quotes a body or a header.
fn network(error: &worker::Error) -> Failure {
    Failure::Network(error.to_string())
}

fn request(endpoint: &Endpoint, body: &str, effect: Effect) -> worker::Result<Request> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set("neon-connection-string", endpoint.connection.expose())?;
    headers.set("neon-raw-text-output", "true")?;
    headers.set("neon-array-mode", "true")?;
    headers.set("neon-batch-isolation-level", "ReadCommitted")?;
    if effect == Effect::Read {
        headers.set("neon-batch-read-only", "true")?;
    }
    let mut init = RequestInit::new();
    // A redirect would carry the connection string to wherever it points.
    init.with_redirect(RequestRedirect::Manual);
    init.with_method(Method::Post).with_headers(headers).with_body(Some(body.into()));
    Request::new_with_init(&endpoint.url, &init)
}

/// The signal ends the wait for the headers and for the body alike.
async fn post(request: Request, timeout_ms: u32) -> worker::Result<(u16, String)> {
    let signal = AbortSignal::from(web_sys::AbortSignal::timeout_with_u32(timeout_ms));
    let mut response = Fetch::Request(request).send_with_signal(&signal).await?;
    let body = response.text().await?;
    Ok((response.status_code(), body))
}
