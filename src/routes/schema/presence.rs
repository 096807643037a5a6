//! The shapes of a room's bodies and answers. Its frames stand in `docs/presence.md`.

use serde_json::{Value, json};

use super::{body, id, object, time};

pub(super) fn shapes() -> Vec<(&'static str, Value)> {
    let text = json!({ "type": "string" });
    vec![
        (
            "PresenceBeat",
            body(
                &["clock", "state"],
                &[
                    ("clock", json!({ "type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_i64 })),
                    ("state", json!({ "type": ["object", "null"] })),
                ],
            ),
        ),
        ("PresenceBeaten", object(&[("client_id", text.clone()), ("expires_in_ms", json!({ "type": "integer" }))])),
        (
            "PresenceTicket",
            object(&[
                ("ticket", json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{43}$", "description": "Good once." })),
                ("client_id", text.clone()),
                (
                    "protocols",
                    json!({ "type": "array", "items": { "type": "string" }, "description": "For `new WebSocket`." }),
                ),
                ("expires_in_ms", json!({ "type": "integer" })),
            ]),
        ),
        ("Peer", object(&[("client_id", text.clone()), ("user_id", id("user")), ("seen_at", time())])),
    ]
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
