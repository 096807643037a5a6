//! What is known of a request before its route: ids, trace, address, deadline, timings.
//!
//! `x-actor-id`, `X-Forwarded-For` and `X-Real-IP` are never read: the platform's address is believed and nothing else.

use std::cell::{Cell, RefCell};

use drey_core::id::RequestId;
use drey_core::trace::Traceparent;
use drey_store::{Deadline, Timings};

use crate::edge::boundary::{Head, Header};
use crate::edge::{clock, random};

/// A correlation id is the caller's and is written to logs: short and harmless, or replaced by ours.
const MOST_CORRELATION_CHARACTERS: usize = 128;

/// One request's own facts.
#[derive(Debug)]
pub struct Context {
    /// Minted here; in every answer, problem, log line and audit event.
    pub request_id: String,
    /// The caller's `x-correlation-id`, else the request id.
    pub correlation_id: String,
    /// The caller's trace continued, or a new one: a `traceparent`, written once.
    pub trace: String,
    /// The client's address as the platform sets it; `::` where there is none.
    pub address: String,
    /// When the request arrived, in milliseconds since the epoch.
    pub started_ms: u64,
    /// When every subrequest must have answered.
    pub deadline: Deadline,
    /// Round trips to Postgres, for `Server-Timing` and the log.
    pub timings: Timings,
    /// Hops to gates that this request waited for.
    pub gate_hops: Cell<u32>,
    /// The policies in shadow that would have refused this request.
    pub shadow: RefCell<Vec<String>>,
}

impl Context {
    /// The context of a request that arrives now.
    #[must_use]
    pub fn new(head: &Head, deadline_ms: u64) -> Self {
        let started_ms = clock::now_ms();
        let request_id = RequestId::mint(started_ms, random::bytes()).to_string();
        Self {
            correlation_id: correlation_id(head).unwrap_or(&request_id).to_owned(),
            trace: trace(head).to_string(),
            address: head.header(Header::ConnectingIp).unwrap_or("::").to_owned(),
            started_ms,
            deadline: Deadline::at(started_ms + deadline_ms),
            timings: Timings::default(),
            gate_hops: Cell::new(0),
            shadow: RefCell::default(),
            request_id,
        }
    }
}

fn correlation_id(head: &Head) -> Option<&str> {
    let id = head.header(Header::CorrelationId)?;
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (!id.is_empty() && id.len() <= MOST_CORRELATION_CHARACTERS && id.bytes().all(harmless)).then_some(id)
}

/// W3C trace context: a malformed header starts a new trace, as the recommendation says.
fn trace(head: &Head) -> Traceparent {
    match head.header(Header::Traceparent).and_then(Traceparent::parse) {
        Some(parent) => parent.child(random::bytes()),
        None => Traceparent::new(random::bytes()),
    }
}
