//! The way of every request, in order: context, route, admission, cache, body, handler, answer, after.

use std::rc::Rc;

use drey_core::refusal::Code;
use wasm_bindgen::JsValue;
use worker::Env;

use crate::admission;
use crate::answer::Answer;
use crate::app::App;
use crate::cache::{self, CacheStatus, Found};
use crate::call::{Access, Call};
use crate::context::Context;
use crate::edge::boundary::{self, BodyError, Head, Header};
use crate::load::{Carried, UnderWay};
use crate::metrics;
use crate::notices;
use crate::problem::{Outcome, Problem};
use crate::query::Query;
use crate::request::Request;
use crate::respond::{self, Facts, Served};
use crate::routes::Body;

/// Answers a request. Whatever goes wrong has a status and a body by the end of this; only a runtime that refuses to
/// build a response makes it an error.
pub async fn answer(raw: &web_sys::Request, env: &Env, worker: &worker::Context) -> Result<web_sys::Response, JsValue> {
    let app = match App::of(env) {
        Ok(app) => app,
        Err(error) => return respond::misconfigured(&error),
    };
    let _under_way = UnderWay::new(&app);
    let head = Head::read(raw);
    let context = Context::new(&head, app.config.deadline_ms);
    let mut facts = Facts::default();
    let served = if head.method == "OPTIONS" {
        respond::preflight(&app, &head)
    } else {
        serve(&app, env, worker, raw, &head, &context, &mut facts).await
    };
    let answer = respond::finish(&app, &head, &context, &facts, served);
    metrics::report_aside(&app, env, worker);
    answer
}

async fn serve(
    app: &Rc<App>,
    env: &Env,
    worker: &worker::Context,
    raw: &web_sys::Request,
    head: &Head,
    context: &Context,
    facts: &mut Facts,
) -> Outcome<Served> {
    let matched = app.index.find(&head.method, &head.path)?;
    facts.route = Some(matched.route);
    app.load.admit(matched.route)?;
    let _carried = Carried::new(app, matched.route, raw)?;
    admission::tenant_headers_agree(head, &matched.parameters)?;
    let request = Request {
        app,
        env,
        worker,
        context,
        head,
        raw,
        route: matched.route,
        parameters: matched.parameters,
        query: Query::parse(&head.query),
    };
    enter(&request, facts).await
}

/// The row's answer to whom it admits: a copy, or what its handler makes.
async fn enter(request: &Request<'_>, facts: &mut Facts) -> Outcome<Served> {
    let admitted = admission::admit(request, facts).await?;
    (facts.limits, facts.daily) = (admitted.limits, admitted.daily);
    facts.plan = admitted.access.grant().map(|grant| grant.plan);
    facts.stale_ms = admitted.access.grant().and_then(|grant| grant.stale_ms).unwrap_or_default();
    let place = cache::place(request, &admitted.access).await;
    match cache::find(request, place.as_ref()).await {
        Some(Found::Copy(stored, status)) => {
            facts.cache = Some(status);
            return Ok(Served::new(stored, request));
        }
        Some(Found::Absence(revision)) => {
            facts.cache = Some(CacheStatus::Absent);
            return Err(Problem::absent(revision));
        }
        None => facts.cache = place.as_ref().map(|_| CacheStatus::Miss),
    }
    request.app.load.admit_work(request.route)?;
    let answer = handle(request, admitted.access).await;
    cache::keep(request, place, &answer);
    Ok(Served::new(answer?, request))
}

async fn handle(request: &Request<'_>, access: Access) -> Outcome<Answer> {
    let body = body(request).await?;
    let call = Call::new(request, access, body);
    let answer = (request.route.handler)(&call).await;
    let notices = match &answer {
        Ok(_) => call.into_notices(),
        Err(problem) if request.route.method != "GET" && problem.leaves_doubt() => call.doubt(),
        Err(_) => Vec::new(),
    };
    notices::tell(request, notices).await;
    answer
}

/// The body within the row's limit, refused by its type before a byte of it is read.
async fn body(request: &Request<'_>) -> Outcome<Vec<u8>> {
    let Body::Json(_, limit) = request.route.policy.body else { return Ok(Vec::new()) };
    let media_type = request.head.header(Header::ContentType).unwrap_or_default();
    if !is_json(media_type) {
        return Err(Problem::new(Code::UnsupportedMediaType, "Send the body as `Content-Type: application/json`."));
    }
    boundary::read_body(request.raw, limit, request.remaining_ms()).await.map_err(|error| match error {
        BodyError::TooLarge => {
            Problem::new(Code::PayloadTooLarge, format!("The body is larger than the {limit} bytes this route takes."))
        }
        BodyError::Broken => Problem::new(Code::MalformedJson, "The body ended before it was complete."),
        BodyError::Late => Problem::unavailable(Code::DeadlineExceeded, "the body did not come in time", 1),
    })
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
