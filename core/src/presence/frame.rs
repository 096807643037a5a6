//! What clients are told: frames of the presence protocol, version 1, JSON texts with a `kind`.
//!
//! In scope: writing them. Out of scope: when, and what clients say themselves (`said`).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Place, Places};
use crate::id::UserId;
use crate::sync::ClientId;
use crate::time::Timestamp;

/// What others see of a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerView {
    /// The client.
    pub client_id: ClientId,
    /// Its user.
    pub user_id: UserId,
    /// His name, if he has one.
    pub name: Option<String>,
    /// What it looks at.
    #[serde(default)]
    pub at: Places,
    /// The whole state, as the client sent it.
    pub state: Box<RawValue>,
    /// The clock of that state.
    pub clock: u64,
    /// The last sign of life the room knows of.
    pub seen_at: Timestamp,
}

/// A person who is present, by however many clients.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PersonView {
    /// The user.
    pub user_id: UserId,
    /// His name, if he has one.
    pub name: Option<String>,
    /// By how many clients.
    pub clients: usize,
    /// What they look at.
    pub at: Vec<Place>,
    /// What the client shows that spoke last.
    pub state: Box<RawValue>,
    /// The last sign of life of any that the room knows of.
    pub seen_at: Timestamp,
}

/// What is shown of somebody.
pub trait Shows: Clone + Serialize {
    /// The same without its last sign of life: what others see of it has not changed if this has not.
    #[must_use]
    fn timeless(&self) -> Self;
}

impl Shows for PeerView {
    fn timeless(&self) -> Self {
        Self { seen_at: Timestamp::from_millis(0), ..self.clone() }
    }
}

impl Shows for PersonView {
    fn timeless(&self) -> Self {
        Self { seen_at: Timestamp::from_millis(0), ..self.clone() }
    }
}

/// What a client may rely on.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    /// The largest state, in bytes.
    pub state_bytes: usize,
    /// Frames a second that are heard; more are coalesced, more than twice as many close the socket.
    pub frames_per_s: u64,
    /// What changes within so many milliseconds comes as one frame; longer in a large room.
    pub tick_ms: u64,
}

/// Somebody who is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Who.
    pub client_id: ClientId,
    /// The clock he left with.
    pub clock: u64,
}

/// A scope of sync that a push has moved: who holds an earlier epoch reads its log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScopeNews {
    /// The type of the scope.
    #[serde(rename = "type")]
    pub scope_type: String,
    /// Its id.
    pub id: String,
    /// The generation of its log.
    pub generation: i64,
    /// The epoch of its last change.
    pub epoch: i64,
}

/// What a client is sent.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ServerFrame {
    /// To one: who is here. He forgets what he was told before. It comes first, after he has said what he wants to hear of,
    /// and when he has fallen behind.
    Hello {
        /// The version of the protocol.
        v: u8,
        /// The client it was sent to.
        client_id: ClientId,
        /// The first page of peers, by client id, the new one excluded.
        peers: Vec<PeerView>,
        /// What may be sent.
        limits: Limits,
        /// Whether there are more peers: the snapshot has them.
        more: bool,
    },
    /// To everybody: these peers are now so. Those whose state is among them may hear it too.
    Patch {
        /// Whole states, never differences; at most [`PAGE`](super::PAGE).
        peers: Vec<PeerView>,
    },
    /// To everybody: these peers are gone.
    Leave {
        /// Some may never have been shown.
        peers: Vec<Gone>,
    },
    /// To everybody: these scopes have moved.
    Notice {
        /// At most [`PAGE`](super::PAGE).
        scopes: Vec<ScopeNews>,
    },
    /// To one: he is to say `ack` with this number when he has read it.
    Probe {
        /// Which: nobody knows it who has not read it.
        n: u64,
    },
    /// To one, before his socket is closed: why.
    Error {
        /// The close code.
        code: u16,
        /// The reason.
        detail: &'static str,
        /// When to come back, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

impl ServerFrame {
    /// The text of the frame. A frame has nothing that JSON could refuse; if it did, it would be an empty object.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients of version 1 read these: another text needs another version.
    #[test]
    fn the_frames_are_fixed() {
        let client_id = ClientId::parse("c1").expect("client");
        let peer = PeerView {
            client_id: client_id.clone(),
            user_id: UserId::from_uuid(uuid::Uuid::nil()),
            name: Some("Ada".to_owned()),
            at: Places::parse(["request/r1"], 1).expect("places"),
            state: RawValue::from_string(r#"{"x":1}"#.to_owned()).expect("json"),
            clock: 7,
            seen_at: Timestamp::from_millis(1_700_000_000_123),
        };
        let hello = ServerFrame::Hello {
            v: 1,
            client_id: client_id.clone(),
            peers: vec![peer.clone()],
            limits: Limits { state_bytes: 4096, frames_per_s: 50, tick_ms: 33 },
            more: false,
        };
        let view = r#"{"client_id":"c1","user_id":"user_00000000000000000000000000","name":"Ada","at":["request/r1"],"state":{"x":1},"clock":7,"seen_at":"2023-11-14T22:13:20.123000Z"}"#;
        let texts = [
            (
                hello,
                format!(
                    r#"{{"kind":"hello","v":1,"client_id":"c1","peers":[{view}],"limits":{{"state_bytes":4096,"frames_per_s":50,"tick_ms":33}},"more":false}}"#
                ),
            ),
            (ServerFrame::Patch { peers: vec![peer] }, format!(r#"{{"kind":"patch","peers":[{view}]}}"#)),
            (
                ServerFrame::Leave { peers: vec![Gone { client_id, clock: 8 }] },
                r#"{"kind":"leave","peers":[{"client_id":"c1","clock":8}]}"#.to_owned(),
            ),
            (
                ServerFrame::Notice {
                    scopes: vec![ScopeNews {
                        scope_type: "project".to_owned(),
                        id: "p".to_owned(),
                        generation: 1,
                        epoch: 9,
                    }],
                },
                r#"{"kind":"notice","scopes":[{"type":"project","id":"p","generation":1,"epoch":9}]}"#.to_owned(),
            ),
            (ServerFrame::Probe { n: 7 }, r#"{"kind":"probe","n":7}"#.to_owned()),
            (
                ServerFrame::Error { code: 1009, detail: "frame too large", retry_after_ms: None },
                r#"{"kind":"error","code":1009,"detail":"frame too large"}"#.to_owned(),
            ),
            (
                ServerFrame::Error { code: 1012, detail: "again", retry_after_ms: Some(7) },
                r#"{"kind":"error","code":1012,"detail":"again","retry_after_ms":7}"#.to_owned(),
            ),
        ];
        for (frame, text) in texts {
            assert_eq!(frame.to_text(), text);
        }
    }
}
