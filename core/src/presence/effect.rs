//! What a room is told, and what it tells its shell.
//!
//! In scope: settings, effects, pages. Out of scope: when they arise.

use super::{Connection, PeerView};
use crate::sync::ClientId;

/// How long things last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// After so many milliseconds without a sign of life a socket is over.
    pub ttl_ms: u64,
    /// An occupied room looks around at least this often, in milliseconds.
    pub alarm_ms: u64,
    /// The most sockets of a room: each state is sent to every one of them.
    pub max_peers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ttl_ms: 90_000, alarm_ms: 60_000, max_peers: 1000 }
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
    /// Send this text to every open socket but one.
    Broadcast {
        /// Who already knows.
        except: Connection,
        /// The frame, encoded once.
        text: String,
    },
    /// Attach the peer to its socket anew: `Room::peer`, `Peer::to_attachment`.
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
        reason: &'static str,
    },
}

/// A page of who is present.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// By client id.
    pub data: Vec<PeerView>,
    /// The last client id of the page, if more follow.
    pub next: Option<ClientId>,
}
