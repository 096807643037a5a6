//! The line of a request in the log. Never a token, a body, a query or a header's value.

use drey_core::refusal::Code;

use super::Facts;
use crate::answer::Answer;
use crate::app::App;
use crate::cache::CacheStatus;
use crate::context::Context;
use crate::edge::boundary::Head;
use crate::edge::clock;
use crate::routes::Limit;

/// What a line is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) app: &'a App,
    pub(super) head: &'a Head,
    pub(super) context: &'a Context,
    pub(super) facts: &'a Facts,
    pub(super) answer: &'a Answer,
    pub(super) code: Option<Code>,
    pub(super) cause: Option<&'a str>,
    pub(super) repeated: bool,
}

/// A level is part of an event's place in the code: two levels are two places.
macro_rules! event {
    ($level:ident, $line:expr) => {{
        let Line { app, head, context, facts, answer, code, cause, .. } = $line;
        let limits = facts.limits.as_ref();
        tracing::$level!(
            target: "request",
            request_id = context.request_id,
            correlation_id = foreign(context),
            trace = context.trace,
            method = head.method,
            route = facts.route.map_or("none", |route| route.path),
            tenant = facts.tenant.as_deref().unwrap_or("none"),
            actor = facts.actor.map(|actor| actor.to_string()).unwrap_or_default(),
            api_key = facts.api_key.map(|key| key.to_string()).unwrap_or_default(),
            status = answer.status,
            code = code.map_or("", Code::as_str),
            cause = cause.unwrap_or_default(),
            ms = clock::now_ms().saturating_sub(context.started_ms),
            db_ms = context.timings.millis(),
            db_round_trips = context.timings.round_trips(),
            db_retries = counted(context.timings.retries()),
            gate_hops = counted(context.gate_hops.get()),
            shadow = context.shadow.borrow().join(","),
            in_flight = app.load.in_flight(),
            cache = facts.cache.map_or("", CacheStatus::short),
            stale_ms = counted(facts.stale_ms),
            limit_remaining = limits.map_or(0, |view| view.remaining),
            limit_policy = limits.map_or("", |view| &*view.policy),
            bytes = answer.size(),
        );
    }};
}

/// The caller's own id; where he has none, the request's is there already.
fn foreign(context: &Context) -> &str {
    if context.correlation_id == context.request_id { "" } else { &context.correlation_id }
}

/// What is nearly always zero, and left out then: a line is paid for by its length.
fn counted(number: impl Into<u64>) -> Option<u64> {
    Some(number.into()).filter(|number| *number > 0)
}

/// One line per request: a warning for one that failed on our side. Of a refusal that is repeated out of memory none by
/// default: the gate is asked again every second, so its own refusals tell who calls on, and metrics count them all.
pub(super) fn write(line: Line<'_>) {
    if line.facts.route.is_some_and(|route| route.policy.limit == Limit::Free) {
        return;
    }
    if line.repeated {
        event!(debug, line);
    } else if line.answer.status < 500 {
        event!(info, line);
    } else {
        event!(warn, line);
    }
}
