//! The shapes of a push and of what a scope's log is made of.

use serde_json::{Value, json};

use super::{body, id, object, one_of};

pub(super) fn shapes() -> Vec<(&'static str, Value)> {
    let (text, integer) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let scope = body(&["type", "id"], &[("type", text.clone()), ("id", text.clone())]);
    let mutation = body(
        &["id", "scope", "entity", "op"],
        &[
            ("id", json!({ "type": "integer", "minimum": 1, "maximum": 9_007_199_254_740_991_i64 })),
            ("scope", scope.clone()),
            ("entity", scope.clone()),
            ("op", one_of(&["upsert", "delete"])),
            (
                "base_version",
                json!({ "type": ["integer", "null"], "minimum": 0, "maximum": 9_007_199_254_740_991_i64 }),
            ),
            (
                "clock",
                json!({ "type": "object", "additionalProperties": { "type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_i64 } }),
            ),
            ("value", json!({ "type": "object" })),
        ],
    );
    let outcomes = ["applied", "duplicate", "rejected", "stale", "retry"];
    let result = object(&[("id", integer.clone()), ("outcome", one_of(&outcomes))]);
    let position = object(&[
        ("type", text.clone()),
        ("id", text.clone()),
        ("generation", integer.clone()),
        ("epoch", integer.clone()),
    ]);
    let message = object(&[("type", text.clone()), ("key", text.clone()), ("headers", json!({ "type": "object" }))]);
    vec![
        (
            "Push",
            body(
                &["client_id", "mutations"],
                &[
                    ("client_id", json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" })),
                    ("session_id", json!({ "anyOf": [id("ses"), { "type": "null" }] })),
                    (
                        "acked_mutation_id",
                        json!({ "type": ["integer", "null"], "minimum": 0, "maximum": 9_007_199_254_740_991_i64 }),
                    ),
                    ("mutations", json!({ "type": "array", "maxItems": 500, "items": mutation })),
                ],
            ),
        ),
        (
            "PushResult",
            object(&[
                ("results", json!({ "type": "array", "items": result })),
                ("last_mutation_id", integer),
                ("scopes", json!({ "type": "array", "items": position })),
            ]),
        ),
        ("Messages", json!({ "type": "array", "items": message })),
    ]
}
