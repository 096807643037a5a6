//! The shapes of bodies, parameters and headers for `openapi.json`. The tests hold every answer against them.

use serde_json::{Value, json};

/// Every named schema. They are text, not code: built by code, the shapes would be a twentieth of the Worker.
#[must_use]
pub fn all() -> Value {
    serde_json::from_str(include_str!("schemas.json")).unwrap_or_default()
}

fn id(prefix: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$") })
}

fn one_of(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

/// A page of a list.
#[must_use]
pub fn page(item: &str) -> Value {
    let items = json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{item}") } });
    let properties = json!({ "data": items, "next_cursor": { "type": ["string", "null"] } });
    json!({ "type": "object", "required": ["data", "next_cursor"], "properties": properties })
}

/// A parameter of a path, by its name.
#[must_use]
pub fn path_parameter(name: &str) -> Value {
    let schema = match name {
        "org" => id("org"),
        "ws" => id("ws"),
        "user" => id("user"),
        "project" => id("prj"),
        "invitation" => id("inv"),
        "key" => id("key"),
        "divergence" => id("div"),
        "session" => id("ses"),
        "scope_type" => one_of(&["user", "workspace", "project", "collection", "environment"]),
        _ => json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// `limit` and `cursor`.
#[must_use]
pub fn page_parameters() -> Vec<Value> {
    vec![
        json!({ "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": 100, "default": 50 } }),
        json!({ "name": "cursor", "in": "query", "description": "`next_cursor` of the page before.", "schema": { "type": "string" } }),
    ]
}

/// `scope_type` and `scope_id`, which come together.
#[must_use]
pub fn scope_parameters() -> Vec<Value> {
    let named = |name: &str| {
        let schema = path_parameter(name).get("schema").cloned();
        json!({ "name": name, "in": "query", "schema": schema })
    };
    vec![named("scope_type"), named("scope_id")]
}

/// `offset` of a stream.
#[must_use]
pub fn offset_parameter() -> Value {
    json!({
        "name": "offset", "in": "query",
        "description": "`Stream-Next-Offset` of the answer before, `-1` for the beginning, `now` for the tail, `snapshot` for the state without its history.",
        "schema": { "type": "string", "pattern": "^(-1|now|snapshot|[1-9][0-9]*_[0-9]{16}(_snapshot(\\.[a-z][a-z0-9_-]*\\.[A-Za-z0-9_-]{1,64})?)?)$", "default": "-1" }
    })
}

/// `live` and `cursor` of a stream.
#[must_use]
pub fn live_parameters() -> [Value; 2] {
    [
        json!({
            "name": "live", "in": "query",
            "description": "Wait for more at the tail: `long-poll` answers 200, or 204 when nothing came in time; `sse` answers `data` and `control` events. Needs `offset`.",
            "schema": { "type": "string", "enum": ["long-poll", "sse"] }
        }),
        json!({
            "name": "cursor", "in": "query",
            "description": "`Stream-Cursor` of the live answer before.",
            "schema": { "type": "string", "pattern": "^[0-9]{1,20}$" }
        }),
    ]
}

/// `view` and `at` of a room, and where a stream of its events goes on.
#[must_use]
pub fn room_parameters() -> [Value; 3] {
    [
        json!({
            "name": "Last-Event-ID", "in": "header",
            "description": "With `Accept: text/event-stream`: go on after this event.",
            "schema": { "type": "string" }
        }),
        json!({
            "name": "view", "in": "query",
            "description": "`clients`: each client by itself, as `Peer`, instead of one entry for each person.",
            "schema": { "type": "string", "enum": ["people", "clients"], "default": "people" }
        }),
        json!({
            "name": "at", "in": "query",
            "description": "Only who looks at one of these places, at most eight, separated by commas.",
            "schema": { "type": "string", "pattern": "^[a-z][a-z0-9_-]{0,31}/[A-Za-z0-9_-]{1,64}(,[a-z][a-z0-9_-]{0,31}/[A-Za-z0-9_-]{1,64}){0,7}$" }
        }),
    ]
}

/// `Idempotency-Key`.
#[must_use]
pub fn idempotency_parameter() -> Value {
    json!({
        "name": "Idempotency-Key", "in": "header",
        "description": "A repeat with the same key answers the same and creates nothing. Kept for 24 hours.",
        "schema": { "type": "string", "pattern": "^[!#-~]{1,255}$" }
    })
}

/// `If-Match`, on changes of one item.
#[must_use]
pub fn if_match_parameter() -> Value {
    json!({
        "name": "If-Match", "in": "header",
        "description": "The change is made only if the item still has the version of one of these `ETag`s, else 412. `*`: any.",
        "schema": { "type": "string", "pattern": "^(\\*|\"[0-9]{1,18}(\\.[A-Za-z0-9_-]{11})?\"(, ?\"[0-9]{1,18}(\\.[A-Za-z0-9_-]{11})?\")*)$" }
    })
}

/// `If-None-Match`, on reads that have an `ETag`.
#[must_use]
pub fn if_none_match_parameter() -> Value {
    json!({
        "name": "If-None-Match", "in": "header",
        "description": "The `ETag`s of what the caller holds: 304 if it is still the answer.",
        "schema": { "type": "string" }
    })
}

/// `x-drey-revision`, on every call of a tenant.
#[must_use]
pub fn revision_parameter() -> Value {
    json!({
        "name": "x-drey-revision", "in": "header",
        "description": "The `x-drey-revision` of an earlier answer of this tenant: nothing older is answered. One above the tenant's own: 400.",
        "schema": { "type": "integer", "minimum": 0 }
    })
}

/// `x-org-id` and `x-workspace-id`: optional, but sent they must name the tenant of the path.
#[must_use]
pub fn tenant_parameter(name: &str, prefix: &str) -> Value {
    json!({
        "name": name, "in": "header",
        "description": "Sent, it must name the tenant of the path: 400 if it names another.",
        "schema": id(prefix)
    })
}

/// The headers that successful answers share.
#[must_use]
pub fn headers() -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "x-request-id": text("The id of this request, also in problems, logs and audit events."),
        "ratelimit": text("What is left: draft-ietf-httpapi-ratelimit-headers."),
        "ratelimit-policy": text("The limit that is nearest."),
        "etag": text("The entity tag, for If-None-Match and If-Match."),
        "x-drey-revision": text("The revision of the tenant, to send back in order to read nothing older."),
    })
}

/// References to [`headers`].
#[must_use]
pub fn header_references() -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    json!({ "x-request-id": reference("x-request-id"), "ratelimit": reference("ratelimit"), "etag": reference("etag"), "x-drey-revision": reference("x-drey-revision") })
}

/// `client_id` of a room.
#[must_use]
pub fn client_parameter() -> Value {
    json!({
        "name": "client_id", "in": "query",
        "description": "Who comes back under his own id takes his place. Minted if absent.",
        "schema": { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" }
    })
}

#[cfg(test)]
mod tests {
    use super::all;
    use crate::routes::{Body, TABLE};

    #[test]
    fn every_shape_that_the_table_names_is_there() {
        let shapes = all();
        for route in TABLE {
            let answer = route.gives.schema.trim_start_matches("[]");
            let body = if let Body::Json(name, _) = route.policy.body { name } else { answer };
            for name in [answer, body].into_iter().filter(|name| !name.is_empty()) {
                assert!(shapes.get(name).is_some(), "{name}");
            }
        }
    }
}
