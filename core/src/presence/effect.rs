//! What a room is told, and what it tells its shell.
//!
//! In scope: settings, effects, pages. Out of scope: when they arise.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Connection, PeerView, PersonView, ServerFrame};
use crate::id::UserId;
use crate::sync::ClientId;

/// How long things last, and how much there may be of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// After so many milliseconds without a sign of life a socket is over.
    pub ttl_ms: u64,
    /// An occupied room looks around, and asks whether everyone still may be here, at least this often, in milliseconds.
    pub alarm_ms: u64,
    /// The most sockets of one object: each state is sent to every one of them.
    pub max_peers: usize,
    /// The most objects of one room, the room's own among them.
    pub max_shards: u32,
    /// The most sockets of one user: a script must not take every seat.
    pub max_per_user: usize,
    /// Frames of one socket that are heard in a second; more are coalesced, more than twice as many close it.
    pub frames_per_s: u64,
    /// Frames of one socket that may come at once.
    pub frames_burst: u64,
    /// After so many milliseconds without a heartbeat a client without a socket is over.
    pub beat_ms: u64,
    /// How long a ticket is good, in milliseconds.
    pub ticket_ms: u64,
    /// What changes within so many milliseconds goes out as one frame; doubled by each thousand sockets.
    pub tick_ms: u64,
    /// How often a socket of a small room that is sent frames has to say that it has read them, in milliseconds. One that
    /// is asked and does not answer for as long is sent nothing more until it does.
    pub probe_ms: u64,
    /// After so many milliseconds without being sent anything it is closed.
    pub shed_ms: u64,
    /// Over so many milliseconds the clients of a room that is drained come back.
    pub drain_ms: u64,
}

impl Settings {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        ttl_ms: 90_000,
        alarm_ms: 60_000,
        max_peers: 1000,
        max_shards: 10,
        max_per_user: 20,
        frames_per_s: 50,
        frames_burst: 100,
        beat_ms: 30_000,
        ticket_ms: 30_000,
        tick_ms: 33,
        probe_ms: 5_000,
        shed_ms: 30_000,
        drain_ms: 10_000,
    };

    /// The most clients of one room.
    pub(super) fn capacity(&self) -> usize {
        self.max_peers.saturating_mul(usize::try_from(self.max_shards).unwrap_or(usize::MAX))
    }

    /// The tick of a room of so many sockets: 33 ms when it is small, 66 ms at a thousand, for a frame costs as many
    /// sends.
    #[must_use]
    pub fn tick_of(&self, sockets: usize) -> u64 {
        let thousandths = self.tick_ms.saturating_mul(u64::try_from(sockets).unwrap_or(u64::MAX));
        self.tick_ms.saturating_add(thousandths / 1000)
    }

    /// How long the first change of a room of so many sockets waits for others to go out with: 52 ms at a thousand, hardly
    /// at all in a small room, and never longer than a tick. A frame costs a thousand sends there, and a change is as fresh
    /// after a hundred milliseconds as at once: 52 of waiting, up to 40 until the last socket is sent it, and the way.
    pub(super) fn gather_of(&self, sockets: usize) -> u64 {
        let thousandths = self.tick_ms.saturating_mul(u64::try_from(sockets).unwrap_or(u64::MAX));
        (thousandths / 630).min(self.tick_of(sockets))
    }

    /// How often a socket of a room of so many has to say that it has read what it was sent, if that is little: every 5 s,
    /// 10 s in a room of a hundred, 55 s in one of a thousand. An answer costs as much as a state, and so there are never
    /// more than twenty a second: `n / (5 * (1 + n / 100))`.
    pub(super) fn probe_of(&self, sockets: usize) -> u64 {
        let hundreds = u64::try_from(sockets / 100).unwrap_or(u64::MAX);
        self.probe_ms.saturating_mul(hundreds.saturating_add(1))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Who hears a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Every open socket but these.
    AllBut(BTreeSet<Connection>),
    /// These alone.
    Only(Vec<Connection>),
}

impl Audience {
    /// Whether a socket is among them.
    #[must_use]
    pub fn has(&self, connection: Connection) -> bool {
        match self {
            Self::AllBut(others) => !others.contains(&connection),
            Self::Only(these) => these.contains(&connection),
        }
    }

    /// About how many bytes it is, in memory and as text.
    pub(super) fn bytes(&self) -> usize {
        let named = match self {
            Self::AllBut(others) => others.len(),
            Self::Only(these) => these.len(),
        };
        named.saturating_mul(16)
    }
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this text to one socket.
    Send {
        /// To whom.
        to: Connection,
        /// The frame.
        text: String,
    },
    /// Send this text to many sockets.
    Broadcast {
        /// To whom.
        to: Audience,
        /// The frame, encoded once.
        text: String,
    },
    /// Remember the peer anew, on its socket or, without one, in storage: `Room::peer`, `Peer::to_attachment`.
    Save {
        /// Whose.
        of: Connection,
    },
    /// Close one socket.
    Close {
        /// Which.
        connection: Connection,
        /// See [`close`](super::close).
        code: u16,
        /// A few words.
        reason: Cow<'static, str>,
    },
    /// Forget a socket that has ended by itself, or a client that had none.
    Forget {
        /// Which.
        connection: Connection,
    },
}

impl Effect {
    /// Whether it sends something to this socket alone.
    pub(super) fn is_to(&self, connection: Connection) -> bool {
        matches!(self, Self::Send { to, .. } if *to == connection)
    }

    /// How many bytes it sends to one socket.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Send { text, .. } | Self::Broadcast { text, .. } => text.len(),
            Self::Save { .. } | Self::Close { .. } | Self::Forget { .. } => 0,
        }
    }
}

/// A page of who is present.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// By client id.
    pub data: Vec<PeerView>,
    /// The last client id of the page, if more follow.
    pub next: Option<ClientId>,
}

/// A page of the people present.
#[derive(Clone, Debug)]
pub struct People {
    /// By user id.
    pub data: Vec<PersonView>,
    /// The last user id of the page, if more follow.
    pub next: Option<UserId>,
}

/// Closes a socket, after telling it why.
pub(super) fn turn_out(connection: Connection, code: u16, reason: &'static str) -> Vec<Effect> {
    let text = ServerFrame::Error { code, detail: reason, retry_after_ms: None }.to_text();
    vec![Effect::Send { to: connection, text }, Effect::Close { connection, code, reason: reason.into() }]
}
