//! The frames of the presence protocol, version 1: JSON texts with a `kind`.
//!
//! In scope: reading what clients send, writing what they get. Out of scope: when.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{MAX_FRAME, MAX_STATE, close};
use crate::id::UserId;
use crate::sync::ClientId;
use crate::time::Timestamp;

/// What a client sends, besides `ping`.
#[derive(Debug)]
pub enum ClientFrame {
    /// `{"kind":"update","clock":7,"state":{…}}`: its whole state; `None` (JSON `null`) to leave.
    Update {
        /// Grows with each update of the client; an older or equal one is ignored.
        clock: u64,
        /// The JSON text of an object, at most 4096 bytes.
        state: Option<String>,
    },
}

/// Why a frame closes its sender, and nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Larger than a frame or a state may be.
    #[error("frame too large")]
    TooBig,
    /// Not JSON, or not a frame of this protocol.
    #[error("not a presence frame")]
    Invalid,
}

impl FrameError {
    /// The close code (RFC 6455 7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::TooBig => close::TOO_BIG,
            Self::Invalid => close::INVALID,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    clock: u64,
    /// Absent and `null` are different things, so the member is required; a raw value tells `null` apart.
    #[serde(borrow)]
    state: &'a RawValue,
}

impl ClientFrame {
    /// Reads a text frame.
    ///
    /// # Errors
    /// [`FrameError`], which closes the sender.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        if text.len() > MAX_FRAME {
            return Err(FrameError::TooBig);
        }
        let update: Update<'_> = serde_json::from_str(text).map_err(|_| FrameError::Invalid)?;
        if update.kind != "update" {
            return Err(FrameError::Invalid);
        }
        Ok(Self::Update { clock: update.clock, state: state_of(update.state)? })
    }
}

/// A state as it is kept: its JSON text, or `None` for `null`.
///
/// # Errors
/// [`FrameError`] for what is no object, or too large a one.
pub fn state_of(value: &RawValue) -> Result<Option<String>, FrameError> {
    match value.get() {
        "null" => Ok(None),
        state if state.len() > MAX_STATE => Err(FrameError::TooBig),
        state if state.starts_with('{') => Ok(Some(state.to_owned())),
        _ => Err(FrameError::Invalid),
    }
}

/// What others see of a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerView {
    /// The client.
    pub client_id: ClientId,
    /// Its user.
    pub user_id: UserId,
    /// His name, if he has one.
    pub name: Option<String>,
    /// The whole state, as the client sent it.
    pub state: Box<RawValue>,
    /// The clock of that state.
    pub clock: u64,
    /// The last sign of life the room knows of.
    pub seen_at: Timestamp,
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
#[derive(Clone, Debug, Serialize)]
pub struct Gone {
    /// Who.
    pub client_id: ClientId,
    /// The clock he left with.
    pub clock: u64,
}

/// What a client is sent.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ServerFrame {
    /// First, to the one who joined: who is here.
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
    /// To one, before his socket is closed: why.
    Error {
        /// The close code.
        code: u16,
        /// The reason.
        detail: &'static str,
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

    fn check(text: &str) -> Result<(u64, Option<String>), FrameError> {
        ClientFrame::parse(text).map(|ClientFrame::Update { clock, state }| (clock, state))
    }

    #[test]
    fn updates_are_read() {
        let state = Some(r#"{"at": [1, 2]}"#.to_owned());
        assert_eq!(check(r#"{"kind":"update","clock":7,"state":{"at": [1, 2]}}"#), Ok((7, state)));
        assert_eq!(check(r#"{"state":null,"clock":8,"kind":"update"}"#), Ok((8, None)));
    }

    #[test]
    fn garbage_is_invalid_and_size_is_too_big() {
        for text in [
            "",
            "ping?",
            "{}",
            "[]",
            "{\"kind\":\"update\"",
            r#"{"kind":"hello","clock":1,"state":null}"#,
            r#"{"kind":"update","clock":-1,"state":null}"#,
            r#"{"kind":"update","clock":1}"#,
            r#"{"kind":"update","clock":1,"state":7}"#,
            r#"{"kind":"update","clock":1,"state":{},"x":1}"#,
        ] {
            assert_eq!(check(text), Err(FrameError::Invalid), "{text}");
        }
        let of_size = |size: usize| {
            check(&format!(r#"{{"kind":"update","clock":1,"state":{{"a":"{}"}}}}"#, "x".repeat(size - 8))).map(|_| ())
        };
        assert_eq!(
            (of_size(4096), of_size(4097), of_size(9000)),
            (Ok(()), Err(FrameError::TooBig), Err(FrameError::TooBig))
        );
    }

    /// Clients of version 1 read these: another text needs another version.
    #[test]
    fn the_frames_are_fixed() {
        let client_id = ClientId::parse("c1").expect("client");
        let peer = PeerView {
            client_id: client_id.clone(),
            user_id: UserId::from_uuid(uuid::Uuid::nil()),
            name: Some("Ada".to_owned()),
            state: RawValue::from_string(r#"{"x":1}"#.to_owned()).expect("json"),
            clock: 7,
            seen_at: Timestamp::from_millis(1_700_000_000_123),
        };
        let hello = ServerFrame::Hello {
            v: 1,
            client_id: client_id.clone(),
            peers: vec![peer.clone()],
            limits: Limits { state_bytes: MAX_STATE, frames_per_s: 50, tick_ms: 33 },
            more: false,
        };
        let view = r#"{"client_id":"c1","user_id":"user_00000000000000000000000000","name":"Ada","state":{"x":1},"clock":7,"seen_at":"2023-11-14T22:13:20.123000Z"}"#;
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
                ServerFrame::Error { code: 1009, detail: "frame too large" },
                r#"{"kind":"error","code":1009,"detail":"frame too large"}"#.to_owned(),
            ),
        ];
        for (frame, text) in texts {
            assert_eq!(frame.to_text(), text);
        }
    }
}
