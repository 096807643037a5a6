//! One socket of a room, and what it remembers over hibernation.
//!
//! In scope: the attachment, which is the only storage presence has. Out of scope: the room.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::identity::ascii;
use super::{Identity, PeerView, Places, Settings, Shown, close};
use crate::time::Timestamp;

/// Less than the idle time after which an object hibernates.
const RECENT_MS: u64 = 5_000;

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
    /// When it last showed something new, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "is_default")]
    pub moved_ms: u64,
    /// Whether it has no socket and lives by heartbeats.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beats: bool,
    /// What it looks at: the sub-rooms it is in.
    #[serde(default, skip_serializing_if = "Places::is_empty")]
    pub at: Places,
    /// The sub-rooms it hears of; none for the whole room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hears: Option<Places>,
    /// Since when it is sent nothing, for it does not read what it is sent; 0 while it does.
    #[serde(default, skip_serializing_if = "is_default")]
    pub behind_ms: u64,
    /// The number of the question that it has not answered; 0 if there is none. Kept for who is behind.
    #[serde(default, skip_serializing_if = "is_default")]
    pub asked: u64,
    /// The shard that holds its socket; 0 for the room itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shard: u32,
    /// Whether it is a stream of events, which only hears. It ends with the object, so no memory of it is kept.
    #[serde(skip)]
    pub streams: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Peer {
    /// A socket that has said nothing yet; its number is still to be given.
    pub(super) fn new(identity: Identity, now_ms: u64) -> Self {
        let connection = Connection::default();
        Self {
            connection,
            identity,
            clock: 0,
            state: None,
            seen_at_ms: now_ms,
            moved_ms: 0,
            beats: false,
            at: Places::default(),
            hears: None,
            behind_ms: 0,
            asked: 0,
            shard: 0,
            streams: false,
        }
    }

    /// Shows something newer; where it was before, or `None` if this is not newer.
    pub(super) fn show(&mut self, clock: u64, shown: Shown) -> Option<Places> {
        if clock <= self.clock {
            return None;
        }
        (self.clock, self.state, self.moved_ms) = (clock, shown.state, self.seen_at_ms);
        Some(std::mem::replace(&mut self.at, shown.at))
    }

    /// Takes over what the room knows of its client, unless it has said something newer itself. On an equal clock what the
    /// room has told others holds: every object is to show the same. Whether it shows something else now.
    pub(super) fn inherit(&mut self, known: &Self) -> bool {
        let is_new = known.clock >= self.clock && !self.shows_as(known);
        if is_new {
            (self.clock, self.state) = (known.clock, known.state.clone());
            (self.at, self.moved_ms) = (known.at.clone(), known.moved_ms);
        }
        is_new
    }

    /// Whether both show the same, as of the same clock.
    pub(super) fn shows_as(&self, other: &Self) -> bool {
        (self.clock, &self.state, &self.at) == (other.clock, &other.state, &other.at)
    }

    /// The text to attach to the socket, in ASCII: the runtime stores one byte for each of its characters, where a single
    /// wider one would cost two for all. A state of 4 KiB grows at most threefold by escapes (two bytes of UTF-8 become
    /// six characters), a name to 1,200 characters, twelve places have 1,200: below 15,900 of the 16,384 that a socket holds.
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
            at: self.at.clone(),
            state,
            clock: self.clock,
            seen_at: Timestamp::from_millis(self.seen_at_ms),
        })
    }

    /// Whether it spoke so lately that what it said may not have been told before a crash.
    pub(super) fn is_recent(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.seen_at_ms) < RECENT_MS
    }

    /// Whether it is a socket that one of this user's API keys opened. A heartbeat shows its key each time.
    pub(super) fn is_of_key(&self, user_id: crate::id::UserId) -> bool {
        self.identity.user_id == user_id && self.identity.api_key.is_some() && !self.beats
    }

    /// Whether somebody who hears of these places (none: of all) sees it.
    pub(super) fn is_in(&self, places: Option<&Places>) -> bool {
        places.is_none_or(|places| places.meets(&self.at))
    }

    /// When it ends by itself: the credential's end, silence, or not reading.
    pub(super) fn ends_at_ms(&self, settings: &Settings) -> u64 {
        let ttl_ms = match (self.streams, self.beats) {
            // A stream says nothing, not even that it lives: writing to it tells.
            (true, _) => return self.identity.expires_at_ms,
            (false, true) => settings.beat_ms,
            (false, false) => settings.ttl_ms,
        };
        self.identity.expires_at_ms.min(self.seen_at_ms.saturating_add(ttl_ms)).min(self.shed_at_ms(settings))
    }

    fn shed_at_ms(&self, settings: &Settings) -> u64 {
        if self.behind_ms == 0 { u64::MAX } else { self.behind_ms.saturating_add(settings.shed_ms) }
    }

    /// Why it ends by itself now.
    pub(super) fn over(&self, settings: &Settings, now_ms: u64) -> (u16, &'static str) {
        if self.identity.expires_at_ms <= now_ms {
            (close::EXPIRED, "the credential has expired")
        } else if self.shed_at_ms(settings) <= now_ms {
            (close::TOO_SLOW, "frames are not read")
        } else {
            (close::SILENT, "no sign of life")
        }
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
                api_key: None,
            },
            clock: 7,
            state: Some(r#"{"x":1}"#.to_owned()),
            seen_at_ms: 1_700_000_000_000,
            moved_ms: 0,
            beats: false,
            at: Places::default(),
            hears: None,
            behind_ms: 0,
            asked: 0,
            shard: 0,
            streams: false,
        };
        let text = r#"{"connection":3,"identity":{"workspace":"ws_00000000000000000000000000","client_id":"c1","user_id":"user_00000000000000000000000000","name":null,"role":"editor","expires_at_ms":1700000600000,"authz_epoch":5},"clock":7,"state":"{\"x\":1}","seen_at_ms":1700000000000}"#;
        assert_eq!(peer.to_attachment(), text);
        assert_eq!(Peer::from_attachment(text), Some(peer));
        assert_eq!(Peer::from_attachment("{}"), None);
        let places = |texts: &[&str]| Places::parse(texts.iter().copied(), 4).expect("places");
        let identity = Identity {
            api_key: Some(crate::id::ApiKeyId::from_uuid(uuid::Uuid::nil())),
            ..Peer::from_attachment(text).expect("peer").identity
        };
        let whole = Peer {
            identity,
            moved_ms: 8,
            beats: true,
            at: places(&["request/r1"]),
            hears: Some(places(&["project/p1", "request/r1"])),
            behind_ms: 9,
            asked: 10,
            shard: 2,
            ..Peer::from_attachment(text).expect("peer")
        };
        let added = r#","moved_ms":8,"beats":true,"at":["request/r1"],"hears":["project/p1","request/r1"],"behind_ms":9,"asked":10,"shard":2}"#;
        let text = text.replace(r#""authz_epoch":5"#, r#""authz_epoch":5,"api_key":"key_00000000000000000000000000""#);
        assert_eq!(whole.to_attachment(), format!("{}{added}", text.trim_end_matches('}')));
        assert_eq!(Peer::from_attachment(&whole.to_attachment()), Some(whole));
    }
}
