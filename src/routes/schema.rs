//! The shapes of bodies, parameters and headers for `openapi.json`. The tests hold every answer against them.

mod api_keys;
mod presence;
mod sync;

use serde_json::{Map, Value, json};

pub use presence::client_parameter;

/// Every named schema.
#[must_use]
pub fn all() -> Value {
    let mut schemas = Map::new();
    let parts = [answers(), bodies(), sync::shapes(), presence::shapes(), api_keys::shapes()];
    for (name, schema) in parts.into_iter().flatten() {
        schemas.insert(name.to_owned(), schema);
    }
    Value::Object(schemas)
}

fn id(prefix: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$") })
}

fn optional(mut schema: Value) -> Value {
    let kind = schema.get("type").cloned().unwrap_or_default();
    if let Some(members) = schema.as_object_mut() {
        members.insert("type".into(), json!([kind, "null"]));
    }
    schema
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn name() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[^\\u0000-\\u001F\\u007F-\\u009F]*[^\\s\\u0000-\\u001F\\u007F-\\u009F][^\\u0000-\\u001F\\u007F-\\u009F]*$",
        "description": "Trimmed; 1 to 100 characters, no control characters."
    })
}

fn slug() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9](-?[a-z0-9])*$" })
}

fn description() -> Value {
    json!({ "type": "string", "maxLength": 2000 })
}

fn one_of(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

const ORG_ROLES: [&str; 3] = ["member", "admin", "owner"];
const WORKSPACE_ROLES: [&str; 3] = ["viewer", "editor", "admin"];
const PLANS: [&str; 4] = ["free", "team", "business", "enterprise"];
const REGIONS: [&str; 9] = ["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"];

/// An object all of whose members are there.
fn object(members: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> =
        members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

/// A body: unknown members are refused, and only some must be there.
fn body(required: &[&str], members: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

fn member(role: Value) -> Value {
    let text = json!({ "type": ["string", "null"] });
    object(&[
        ("user_id", id("user")),
        ("email", text.clone()),
        ("name", text),
        ("role", role),
        ("version", json!({ "type": "integer" })),
        ("created_at", time()),
    ])
}

fn invitation(extra: &[(&str, Value)]) -> Value {
    let mut members = vec![
        ("id", id("inv")),
        ("org_id", id("org")),
        ("email", json!({ "type": "string" })),
        ("role", one_of(&ORG_ROLES)),
        ("workspace_id", optional(id("ws"))),
        ("workspace_role", json!({ "enum": ["viewer", "editor", "admin", null] })),
        ("state", one_of(&["pending", "accepted", "expired"])),
        ("version", json!({ "type": "integer" })),
        ("expires_at", time()),
        ("created_at", time()),
    ];
    members.extend_from_slice(extra);
    object(&members)
}

fn answers() -> Vec<(&'static str, Value)> {
    let (integer, text) = (json!({ "type": "integer" }), json!({ "type": "string" }));
    let optional_text = json!({ "type": ["string", "null"] });
    let status = json!({ "const": "ok" });
    vec![
        ("Any", json!({ "type": "object" })),
        ("Health", object(&[("status", status.clone())])),
        (
            "Readiness",
            object(&[("status", status), ("checks", json!({ "type": "array", "items": { "type": "string" } }))]),
        ),
        ("Problem", problem()),
        (
            "Me",
            object(&[
                ("id", id("user")),
                ("issuer", text.clone()),
                ("subject", text.clone()),
                ("email", optional_text.clone()),
                ("name", optional_text),
                ("created_at", time()),
            ]),
        ),
        (
            "Org",
            object(&[
                ("id", id("org")),
                ("name", name()),
                ("plan", one_of(&PLANS)),
                ("region", one_of(&REGIONS)),
                ("role", one_of(&ORG_ROLES)),
                ("version", integer.clone()),
                ("created_at", time()),
                ("updated_at", time()),
            ]),
        ),
        ("OrgMember", member(one_of(&ORG_ROLES))),
        ("Invitation", invitation(&[])),
        ("InvitationCreated", invitation(&[("token", json!({ "type": "string", "description": "Shown once." }))])),
        (
            "Workspace",
            object(&[
                ("id", id("ws")),
                ("org_id", id("org")),
                ("name", name()),
                ("slug", slug()),
                ("role", one_of(&WORKSPACE_ROLES)),
                ("version", integer.clone()),
                ("created_at", time()),
                ("updated_at", time()),
            ]),
        ),
        ("WorkspaceMember", member(one_of(&WORKSPACE_ROLES))),
        (
            "Project",
            object(&[
                ("id", id("prj")),
                ("workspace_id", id("ws")),
                ("name", name()),
                ("slug", slug()),
                ("description", description()),
                ("version", integer),
                ("created_at", time()),
                ("updated_at", time()),
            ]),
        ),
        (
            "AuditEvent",
            object(&[
                ("id", id("evt")),
                ("org_id", id("org")),
                ("workspace_id", optional(id("ws"))),
                ("actor_id", optional(id("user"))),
                ("action", text.clone()),
                ("target", object(&[("type", text.clone()), ("id", text.clone())])),
                ("detail", json!({ "type": "object" })),
                ("request_id", text),
                ("created_at", time()),
            ]),
        ),
    ]
}

fn problem() -> Value {
    let error = object(&[("pointer", json!({ "type": "string" })), ("detail", json!({ "type": "string" }))]);
    let mut problem = object(&[
        ("type", json!({ "type": "string", "format": "uri" })),
        ("title", json!({ "type": "string" })),
        ("status", json!({ "type": "integer" })),
        ("detail", json!({ "type": "string" })),
        ("code", json!({ "type": "string" })),
        ("request_id", json!({ "type": "string" })),
    ]);
    if let Some(properties) = problem.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("errors".into(), json!({ "type": "array", "items": error }));
        properties.insert("retry_after".into(), json!({ "type": "integer", "description": "Seconds." }));
        properties.insert("expected_id".into(), json!({ "type": "integer" }));
        properties.insert("violated-policies".into(), json!({ "type": "array", "items": { "type": "string" } }));
    }
    problem
}

fn bodies() -> Vec<(&'static str, Value)> {
    let nullable = |schema: Value| json!({ "anyOf": [schema, { "type": "null" }] });
    vec![
        ("OrgCreate", body(&["name"], &[("name", name()), ("region", one_of(&REGIONS))])),
        ("OrgUpdate", body(&[], &[("name", nullable(name()))])),
        ("OrgPlan", body(&["plan"], &[("plan", one_of(&PLANS))])),
        ("OrgMemberPut", body(&["role"], &[("role", one_of(&ORG_ROLES))])),
        (
            "InvitationCreate",
            body(
                &["email", "role"],
                &[
                    ("email", json!({ "type": "string", "maxLength": 254, "pattern": "^[^@\\s]+@[^@\\s]+$" })),
                    ("role", one_of(&ORG_ROLES)),
                    ("workspace_id", nullable(id("ws"))),
                    ("workspace_role", nullable(one_of(&WORKSPACE_ROLES))),
                    ("expires_in_hours", nullable(json!({ "type": "integer", "minimum": 1, "maximum": 720 }))),
                ],
            ),
        ),
        ("InvitationAccept", body(&["token"], &[("token", json!({ "type": "string" }))])),
        ("WorkspaceCreate", body(&["name"], &[("name", name()), ("slug", nullable(slug()))])),
        ("WorkspaceUpdate", body(&[], &[("name", nullable(name())), ("slug", nullable(slug()))])),
        ("WorkspaceMemberPut", body(&["role"], &[("role", one_of(&WORKSPACE_ROLES))])),
        (
            "ProjectCreate",
            body(&["name"], &[("name", name()), ("slug", nullable(slug())), ("description", description())]),
        ),
        (
            "ProjectUpdate",
            body(
                &[],
                &[("name", nullable(name())), ("slug", nullable(slug())), ("description", nullable(description()))],
            ),
        ),
    ]
}

/// A page of a list.
#[must_use]
pub fn page(item: &str) -> Value {
    let items = json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{item}") } });
    object(&[("data", items), ("next_cursor", json!({ "type": ["string", "null"] }))])
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

/// `offset` of a stream.
#[must_use]
pub fn offset_parameter() -> Value {
    json!({
        "name": "offset", "in": "query",
        "description": "`Stream-Next-Offset` of the answer before, `-1` for the beginning, `now` for the tail.",
        "schema": { "type": "string", "pattern": "^(-1|now|[1-9][0-9]*_[0-9]{16})$", "default": "-1" }
    })
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
