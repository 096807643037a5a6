//! What every answer carries, whatever its route: ids, limits, caching, conditional requests, CORS, security headers,
//! timing and its log line.

mod log;

use drey_core::cache::{self, CacheProfile, tags};
use drey_core::etag;
use drey_core::id::{ApiKeyId, UserId};
use drey_core::limit::LimitView;
use drey_core::refusal::Code;
use drey_core::role::Plan;
use drey_durable_objects::environment::ConfigError;
use wasm_bindgen::JsValue;

use crate::answer::Answer;
use crate::app::App;
use crate::cache::CacheStatus;
use crate::config::Environment;
use crate::context::Context;
use crate::edge::boundary::{self, Head, Header};
use crate::edge::clock;
use crate::problem::{Outcome, Problem};
use crate::request::Request;
use crate::routes::Route;
use log::Line;

/// What the pipeline learned on the way, kept also when it ended in a problem.
#[derive(Debug, Default)]
pub struct Facts {
    /// The row.
    pub route: Option<&'static Route>,
    /// The verified caller.
    pub actor: Option<UserId>,
    /// The key that acts as the caller.
    pub api_key: Option<ApiKeyId>,
    /// The tenant of the path, once the caller is known.
    pub tenant: Option<String>,
    /// The plan of the tenant, once the gate has let the caller in.
    pub plan: Option<Plan>,
    /// The state of the limits.
    pub limits: Option<LimitView>,
    /// The state of the organisation's day.
    pub daily: Option<LimitView>,
    /// Which cache level answered.
    pub cache: Option<CacheStatus>,
    /// How long nobody has been able to confirm the revision that a copy was found at; 0 while Postgres answers.
    pub stale_ms: u64,
}

/// A successful answer with the profile of its row.
#[derive(Debug)]
pub struct Served {
    answer: Answer,
    profile: CacheProfile,
}

impl Served {
    /// The answer of a row.
    #[must_use]
    pub fn new(mut answer: Answer, request: &Request<'_>) -> Self {
        let profile = request.route.policy.cache;
        if profile.is_public() {
            let seconds = profile.public_seconds(&request.app.settings.effective().ttl).unwrap_or_default();
            answer.set("cache-tag", tags::header(request.route.path, env!("CARGO_PKG_VERSION")));
            answer.set("cdn-cache-control", cache::cdn_control(seconds));
            answer.set_default("cache-control", cache::public_control(seconds));
        }
        Self { answer, profile }
    }
}

/// Turns an outcome into the runtime's response and logs it.
pub fn finish(
    app: &App,
    head: &Head,
    context: &Context,
    facts: &Facts,
    served: Outcome<Served>,
) -> Result<web_sys::Response, JsValue> {
    let (mut answer, code, cause, repeated) = match served {
        Ok(served) => (conditional(head, served), None, None, false),
        Err(mut problem) => {
            let (cause, repeated) = (problem.cause.take(), problem.repeated);
            let code = problem.refusal.code;
            if let Some(("violated-policies", policies)) = &problem.extension {
                app.metrics.limited(policies);
            }
            (refused(problem.into_answer(&context.request_id)), Some(code), cause, repeated)
        }
    };
    log::write(Line { app, head, context, facts, answer: &answer, code, cause: cause.as_deref(), repeated });
    app.metrics.see(context, facts, answer.status, code);
    match answer.raw.take() {
        // An upgrade is the runtime's as it is.
        Some(raw) if raw.status() == 101 => return Ok(raw),
        Some(unread) if head.method == "HEAD" => boundary::cancel(&unread),
        Some(unread) => {
            decorate(&mut answer, app, head, context, facts);
            return boundary::pass_on(&answer.headers, &unread);
        }
        None => {}
    }
    decorate(&mut answer, app, head, context, facts);
    let body = (head.method != "HEAD" && !answer.body.is_empty()).then_some(answer.body.as_slice());
    boundary::write(answer.status, &answer.headers, body)
}

/// The answer to a request that no configuration can serve. What is wrong with it is for the operator's log alone.
pub fn misconfigured(error: &ConfigError) -> Result<web_sys::Response, JsValue> {
    let line = serde_json::json!({ "level": "error", "target": "config", "message": error.to_string() });
    worker::console_error!("{line}");
    let problem = Problem::unavailable(Code::Overloaded, String::new(), 30);
    let answer = refused(problem.into_answer("none"));
    boundary::write(answer.status, &answer.headers, Some(&answer.body))
}

/// The answer to a CORS preflight, or to any `OPTIONS`.
pub fn preflight(app: &App, head: &Head) -> Outcome<Served> {
    let methods = app.index.methods(&head.path);
    let methods = methods.ok_or_else(|| Problem::new(Code::NotFound, "There is no such route."))?;
    let mut answer = Answer::no_content().with("allow", methods.clone());
    if head.header(Header::AccessControlRequestMethod).is_some() && allowed_origin(app, head).is_some() {
        answer.set("access-control-allow-methods", methods);
        answer.set("access-control-allow-headers", CORS_REQUEST_HEADERS);
        answer.set("access-control-max-age", "7200");
    }
    Ok(Served { answer, profile: CacheProfile::NoStore })
}

const CORS_REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, \
     traceparent, x-api-key, x-correlation-id, x-drey-revision, x-org-id, x-workspace-id";
const CORS_RESPONSE_HEADERS: &str = "cache-status, etag, idempotent-replayed, link, location, ratelimit, \
     ratelimit-policy, retry-after, server-timing, stream-cursor, stream-next-offset, stream-up-to-date, traceparent, \
     www-authenticate, x-cache, x-correlation-id, x-drey-revision, x-rate-limit-limit, x-rate-limit-remaining, \
     x-rate-limit-reset, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-request-id";

fn allowed_origin(app: &App, head: &Head) -> Option<String> {
    let origin = head.header(Header::Origin)?;
    let origins = &app.config.cors_origins;
    origins.iter().any(|known| known == "*" || known == origin).then(|| origin.to_owned())
}

/// RFC 9110 §13: an entity tag for every read of tenant data, and 304 where the caller already has it.
fn conditional(head: &Head, served: Served) -> Answer {
    let Served { mut answer, profile } = served;
    if let Some(control) = profile.cache_control() {
        answer.set_default("cache-control", control);
    }
    if let Some(vary) = profile.vary() {
        answer.set("vary", vary);
    }
    // A row that says nothing of caching may still have an answer that does.
    let no_store = answer.header("cache-control").is_none_or(|value| value.contains("no-store"));
    if no_store || answer.status != 200 {
        return answer;
    }
    if answer.header("etag").is_none() {
        answer.set("etag", etag::body_tag(&answer.body));
    }
    let tag = answer.header("etag").unwrap_or_default();
    if head.header(Header::IfNoneMatch).is_some_and(|sent| etag::if_none_match(sent, tag)) {
        answer.status = 304;
        answer.body.clear();
        if let Some(unread) = answer.raw.take() {
            boundary::cancel(&unread);
        }
        answer.headers.retain(|(name, _)| name != "content-type");
    }
    answer
}

/// Errors are stored by nobody, old caches included.
fn refused(answer: Answer) -> Answer {
    answer.with("cache-control", "no-store").with("pragma", "no-cache")
}

fn decorate(answer: &mut Answer, app: &App, head: &Head, context: &Context, facts: &Facts) {
    if is_public(answer) {
        // A shared cache gives this to others: nothing of this request may be in it.
        security(answer, app.config.environment);
        return cors(answer, app, head);
    }
    answer.set("x-request-id", context.request_id.clone());
    answer.set("x-correlation-id", context.correlation_id.clone());
    answer.set("traceparent", context.trace.clone());
    if let Some(actor) = facts.actor {
        answer.set("x-actor-id", actor.to_string());
    }
    if let Some(view) = &facts.limits {
        for (name, value) in drey_core::limit::headers(view, facts.daily.as_ref()) {
            answer.set_default(name, value);
        }
    }
    let cache = facts.cache.unwrap_or(CacheStatus::Miss);
    if facts.cache.is_some() {
        answer.set("cache-status", cache.header(facts.stale_ms));
    }
    answer.set("x-cache", cache.short());
    answer.set("server-timing", server_timing(context));
    security(answer, app.config.environment);
    cors(answer, app, head);
}

fn is_public(answer: &Answer) -> bool {
    answer.header("cache-control").is_some_and(|value| value.starts_with("public"))
}

fn server_timing(context: &Context) -> String {
    let total = clock::now_ms().saturating_sub(context.started_ms);
    format!(
        "total;dur={total}, db;dur={:.1};desc=\"{}\", gate;desc=\"{}\"",
        context.timings.millis(),
        context.timings.round_trips(),
        context.gate_hops.get()
    )
}

fn security(answer: &mut Answer, environment: Environment) {
    answer.set("x-content-type-options", "nosniff");
    answer.set("referrer-policy", "no-referrer");
    answer.set("cross-origin-resource-policy", "same-origin");
    if environment == Environment::Production {
        answer.set("strict-transport-security", "max-age=63072000; includeSubDomains; preload");
    }
}

fn cors(answer: &mut Answer, app: &App, head: &Head) {
    if app.config.cors_origins.is_empty() {
        return;
    }
    let vary = answer.header("vary").map_or_else(|| "Origin".to_owned(), |vary| format!("{vary}, Origin"));
    answer.set("vary", vary);
    if let Some(origin) = allowed_origin(app, head) {
        answer.set("access-control-allow-origin", origin);
        answer.set("access-control-expose-headers", CORS_RESPONSE_HEADERS);
        answer.set("cross-origin-resource-policy", "cross-origin");
    }
}
