//! The shapes of API keys.

use serde_json::{Value, json};

use super::{body, id, name, object, one_of, optional, time};

const SCOPES: [&str; 5] = ["read", "write", "sync", "presence", "admin"];

/// Answers and bodies.
pub(super) fn shapes() -> Vec<(&'static str, Value)> {
    let nullable = |schema: Value| json!({ "anyOf": [schema, { "type": "null" }] });
    vec![
        ("ApiKey", api_key(&[])),
        ("ApiKeyCreated", api_key(&[("key", json!({ "type": "string", "description": "Shown once." }))])),
        (
            "ApiKeyCreate",
            body(
                &["name", "scopes"],
                &[
                    ("name", name()),
                    ("scopes", scopes()),
                    ("project_id", nullable(id("prj"))),
                    ("allowed_addresses", addresses()),
                    ("expires_at", nullable(time())),
                ],
            ),
        ),
        (
            "ApiKeyRotate",
            body(
                &["overlap_seconds"],
                &[
                    ("overlap_seconds", json!({ "type": "integer", "minimum": 0, "maximum": 604_800 })),
                    ("expires_at", nullable(time())),
                ],
            ),
        ),
    ]
}

fn scopes() -> Value {
    json!({ "type": "array", "items": one_of(&SCOPES), "minItems": 1, "uniqueItems": true })
}

fn addresses() -> Value {
    let text = json!({ "type": "string", "description": "An address or a range, such as `192.0.2.0/24`." });
    json!({ "type": "array", "items": text, "maxItems": 20 })
}

fn api_key(extra: &[(&str, Value)]) -> Value {
    let mut members = vec![
        ("id", id("key")),
        ("workspace_id", id("ws")),
        ("name", name()),
        ("scopes", scopes()),
        ("project_id", optional(id("prj"))),
        ("allowed_addresses", addresses()),
        ("created_by", id("user")),
        ("expires_at", optional(time())),
        ("last_used_at", optional(time())),
        ("created_at", time()),
    ];
    members.extend_from_slice(extra);
    object(&members)
}
