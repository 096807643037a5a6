//! `openapi.json`, generated from the route table.

use drey_core::cache::CacheProfile;
use drey_core::metrics::MEDIA_TYPE;
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::problem::{self, Outcome};
use crate::routes::{Body, ByKey, Limit, Route, TABLE, Who, schema};
use drey_core::refusal::Code;

/// The shape that is not JSON.
const OPEN_METRICS: &str = "OpenMetrics";

/// Describe this API.
pub(super) async fn document(_call: &Call<'_>) -> Outcome<Answer> {
    Answer::json(200, &describe())
}

/// The document, version 3.1: one operation a row.
#[must_use]
pub(super) fn describe() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in TABLE {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(operations) = path.as_object_mut() {
            operations.insert(route.method.to_ascii_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "drey",
            "summary": "The tenant backend for collaborative API tools.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT, or an API key" },
                "operator": { "type": "http", "scheme": "bearer", "bearerFormat": "the operator's token" },
                "api_key": { "type": "apiKey", "in": "header", "name": "x-api-key" }
            },
            "schemas": schema::all(),
            "headers": schema::headers(),
        }
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": responses(route),
        "security": security(route),
        "x-policy": policy(route),
    });
    if let (Body::Json(name, limit), Some(members)) = (route.policy.body, operation.as_object_mut()) {
        let content = json!({ "application/json": { "schema": reference(name) } });
        let description = format!("At most {limit} bytes.");
        members
            .insert("requestBody".into(), json!({ "required": true, "description": description, "content": content }));
    }
    operation
}

/// `GET /v1/orgs/{org}/members` is `get_orgs_org_members`.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '.']).filter(|word| !word.is_empty() && *word != "v1");
    let words = words.map(|word| word.trim_matches(['{', '}']));
    std::iter::once(route.method.to_ascii_lowercase().as_str()).chain(words).collect::<Vec<_>>().join("_")
}

/// Either is enough.
fn security(route: &Route) -> Value {
    match (route.policy.who, route.policy.by_key) {
        (Who::Public, _) => json!([]),
        (Who::Operator, _) => json!([{ "operator": [] }]),
        (_, ByKey::Never) => json!([{ "bearer": [] }]),
        (_, ByKey::Workspace(_) | ByKey::Project(_)) => json!([{ "bearer": [] }, { "api_key": [] }]),
    }
}

fn policy(route: &Route) -> Value {
    let who = match route.policy.who {
        Who::Public => "public".to_owned(),
        Who::Operator => "operator".to_owned(),
        Who::User => "user".to_owned(),
        Who::Org(role) => format!("organisation {role}"),
        Who::Workspace(role) => format!("workspace {role}"),
    };
    let limit = match route.policy.limit {
        Limit::Free => json!(null),
        Limit::Tier(tier, cost) => json!({ "tier": tier, "cost": cost }),
    };
    let key = match route.policy.by_key {
        ByKey::Never => json!(null),
        ByKey::Workspace(scope) => json!({ "scope": scope, "of_a_project": false }),
        ByKey::Project(scope) => json!({ "scope": scope, "of_a_project": true }),
    };
    json!({ "who": who, "key": key, "limit": limit, "idempotent": route.policy.idempotent, "ticket": route.policy.ticket })
}

fn parameters(route: &Route) -> Vec<Value> {
    let segments = route.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = segments.map(schema::path_parameter).collect();
    let reads_streams = route.method == "GET" && route.gives.schema == "SyncSessionOpened";
    if route.gives.schema.starts_with("[]") || reads_streams {
        parameters.extend(schema::page_parameters());
    }
    if route.gives.schema == "[]Divergence" {
        parameters.extend(schema::scope_parameters());
    }
    if is_stream(route) {
        parameters.push(schema::offset_parameter());
        parameters.extend(schema::live_parameters());
    }
    if route.gives.schema == "[]Person" || matches!(route.gives.schema, "PresenceBeaten" | "PresenceTicket") {
        parameters.push(schema::client_parameter());
    }
    if is_presence(route) {
        parameters.extend(schema::room_parameters());
    }
    parameters.extend(headers(route));
    parameters
}

/// The headers that a row reads, besides the credential.
fn headers(route: &Route) -> Vec<Value> {
    let below = |parameter| route.path.contains(parameter);
    let when = |holds: bool, parameter: Value| holds.then_some(parameter);
    [
        when(route.policy.idempotent, schema::idempotency_parameter()),
        when(changes_an_item(route), schema::if_match_parameter()),
        when(has_tag(route), schema::if_none_match_parameter()),
        when(!matches!(route.policy.who, Who::Public | Who::Operator), schema::revision_parameter()),
        when(below("{org}") || below("{ws}"), schema::tenant_parameter("x-org-id", "org")),
        when(below("{ws}"), schema::tenant_parameter("x-workspace-id", "ws")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn changes_an_item(route: &Route) -> bool {
    matches!(route.method, "PATCH" | "PUT" | "DELETE")
}

fn has_tag(route: &Route) -> bool {
    route.method == "GET" && (route.policy.cache != CacheProfile::NoStore || is_presence(route))
}

fn is_stream(route: &Route) -> bool {
    route.path.ends_with("{scope_id}")
}

fn is_presence(route: &Route) -> bool {
    route.gives.schema == "[]Person"
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    responses.insert(route.gives.status.to_string(), success(route));
    if is_presence(route) {
        let description = "The caller has joined: the WebSocket's frames are JSON text.";
        responses.insert("101".into(), json!({ "description": description }));
    }
    if is_stream(route) {
        responses.insert("204".into(), json!({ "description": "`live=long-poll`: nothing came in time." }));
        responses
            .insert("307".into(), json!({ "description": "`offset=snapshot`: where the newest snapshot begins." }));
    }
    if has_tag(route) {
        responses.insert("304".into(), json!({ "description": "The caller has it already." }));
    }
    for code in refusals(route) {
        let status = problem::status(code).to_string();
        responses.entry(status).or_insert_with(|| refusal(code));
    }
    Value::Object(responses)
}

fn success(route: &Route) -> Value {
    let mut response = json!({ "description": "Success.", "headers": schema::header_references() });
    if let (OPEN_METRICS, Some(members)) = (route.gives.schema, response.as_object_mut()) {
        members.insert("content".into(), json!({ MEDIA_TYPE: { "schema": reference(OPEN_METRICS) } }));
        return response;
    }
    if let (false, Some(members)) = (route.gives.schema.is_empty(), response.as_object_mut()) {
        let schema = match route.gives.schema.strip_prefix("[]") {
            Some(item) => schema::page(item),
            None => reference(route.gives.schema),
        };
        let mut content = serde_json::Map::from_iter([("application/json".to_owned(), json!({ "schema": schema }))]);
        if streams(route) {
            content.insert("text/event-stream".to_owned(), json!({ "schema": reference("ServerSentEvent") }));
        }
        members.insert("content".into(), Value::Object(content));
    }
    response
}

/// Whether whoever asks for it gets server-sent events: the log of a scope, the events of a room. Before `OpenAPI` 3.2 the
/// schema of an event stream is that of each event.
fn streams(route: &Route) -> bool {
    route.gives.schema == "Messages" || route.policy.ticket
}

fn refusal(code: Code) -> Value {
    let content = json!({ "application/problem+json": { "schema": reference("Problem") } });
    json!({ "description": code.title(), "content": content })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The refusals a row can give, one per status.
fn refusals(route: &Route) -> Vec<Code> {
    let mut codes = vec![Code::InvalidParameter, Code::MethodNotAllowed];
    if route.policy.limit != Limit::Free {
        codes.extend([Code::RateLimited, Code::Internal, Code::GateUnavailable]);
    }
    if route.policy.who != Who::Public {
        codes.extend([Code::Unauthenticated, Code::Forbidden, Code::NotFound]);
    }
    if let Body::Json(..) = route.policy.body {
        codes.extend([Code::PayloadTooLarge, Code::UnsupportedMediaType, Code::Conflict]);
    }
    if changes_an_item(route) {
        codes.extend([Code::PreconditionFailed, Code::Conflict]);
    }
    if route.policy.idempotent {
        codes.push(Code::IdempotencyMismatch);
    }
    if is_stream(route) {
        codes.push(Code::OffsetGone);
    }
    if route.path.ends_with("/accept") {
        codes.push(Code::InvitationExpired);
    }
    codes
}
