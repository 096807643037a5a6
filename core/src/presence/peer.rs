//! One socket of a room, and what it remembers over hibernation.
//!
//! In scope: the attachment, which is the only storage presence has. Out of scope: the room.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::identity::ascii;
use super::{Identity, PeerView, Settings};
use crate::time::Timestamp;

/// The number of a socket within its room. A client that connects again gets a new one, so that the end of the old
/// socket is not taken for the end of the new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Connection(pub u64);

/// One socket: whose it is, what it shows, when it last gave a sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Which socket.
    pub connection: Connection,
    /// Whose.
    pub identity: Identity,
    /// The clock of the last update; 0 before the first.
    pub clock: u64,
    /// The JSON text of the state; none before the first update and after a `null`.
    pub state: Option<String>,
    /// Milliseconds since 1970.
    pub seen_at_ms: u64,
    /// Whether it has no socket and lives by heartbeats.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beats: bool,
}

impl Peer {
    /// The text to attach to the socket, in ASCII: the runtime stores one byte for each of its characters, where a single
    /// wider one would cost two for all. A state of 4 KiB grows at most threefold by escapes (two bytes of UTF-8 become
    /// six characters), a name to 1,200 characters: below 14,000 of the 16,384 that a socket holds.
    #[must_use]
    pub fn to_attachment(&self) -> String {
        serde_json::to_string(self).map(|json| ascii(&json)).unwrap_or_default()
    }

    /// Reads an attachment; `None` if it is none of ours, as after a change of its shape.
    #[must_use]
    pub fn from_attachment(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What others see of it; `None` while it shows nothing.
    #[must_use]
    pub fn view(&self) -> Option<PeerView> {
        let state = RawValue::from_string(self.state.clone()?).ok()?;
        Some(PeerView {
            client_id: self.identity.client_id.clone(),
            user_id: self.identity.user_id,
            name: self.identity.name.clone(),
            state,
            clock: self.clock,
            seen_at: Timestamp::from_millis(self.seen_at_ms),
        })
    }

    /// When it ends by itself: the credential's end, or silence.
    pub(super) fn ends_at_ms(&self, settings: &Settings) -> u64 {
        let ttl_ms = if self.beats { settings.beat_ms } else { settings.ttl_ms };
        self.identity.expires_at_ms.min(self.seen_at_ms.saturating_add(ttl_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{UserId, WorkspaceId};
    use crate::role::WorkspaceRole;
    use crate::sync::ClientId;

    /// Sockets sleep through a deploy: an attachment that cannot be read closes every one of them.
    #[test]
    fn the_attachment_is_fixed() {
        let peer = Peer {
            connection: Connection(3),
            identity: Identity {
                workspace: WorkspaceId::from_uuid(uuid::Uuid::nil()),
                client_id: ClientId::parse("c1").expect("client"),
                user_id: UserId::from_uuid(uuid::Uuid::nil()),
                name: None,
                role: WorkspaceRole::Editor,
                expires_at_ms: 1_700_000_600_000,
                authz_epoch: 5,
            },
            clock: 7,
            state: Some(r#"{"x":1}"#.to_owned()),
            seen_at_ms: 1_700_000_000_000,
            beats: false,
        };
        let text = r#"{"connection":3,"identity":{"workspace":"ws_00000000000000000000000000","client_id":"c1","user_id":"user_00000000000000000000000000","name":null,"role":"editor","expires_at_ms":1700000600000,"authz_epoch":5},"clock":7,"state":"{\"x\":1}","seen_at_ms":1700000000000}"#;
        assert_eq!(peer.to_attachment(), text);
        assert_eq!(Peer::from_attachment(text), Some(peer));
        assert_eq!(Peer::from_attachment("{}"), None);
    }
}
