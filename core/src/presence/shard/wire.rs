//! What rooms and shards say to each other. Both may be of another version: new members have defaults.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::{Audience, Connection, Gone, Peer};
use super::attachments;

/// What a shard tells its room, at most one report at a time. One that got no answer is told again, with what is new.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Whose.
    pub shard: u32,
    /// When the shard woke, in milliseconds since 1970: numbers begin anew.
    pub since: u64,
    /// Grows with each report; a late one is not heard.
    pub number: u64,
    /// Sockets that are new, or show something new: whole, never differences. At most [`PAGE`](crate::presence::PAGE).
    #[serde(with = "attachments")]
    pub peers: Vec<Peer>,
    /// Sockets that want to be told everything of the places they hear of.
    #[serde(default)]
    pub asks: BTreeSet<Connection>,
    /// Sockets that have answered, and which question; none for whatever they were asked.
    #[serde(default)]
    pub acks: BTreeMap<Connection, Option<u64>>,
    /// Sockets that have ended, and whose they were: a room that was asleep does not know them.
    #[serde(default)]
    pub ended: Vec<(Connection, Gone)>,
    /// Only where a room asks who sits there: sockets whose states may not have been reported yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub moved: BTreeSet<Connection>,
}

/// What a room has a shard do, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Orders {
    /// When the room woke, in milliseconds since 1970: numbers begin anew.
    pub since: u64,
    /// Grows with each; late orders are not carried out.
    pub number: u64,
    /// One after the other.
    pub orders: Vec<Order>,
}

/// An effect at a distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
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
        /// The frame.
        text: String,
    },
    /// Remember of this peer what the room alone knows.
    Keep {
        /// As the room has it: [`Peer::to_attachment`].
        peer: String,
    },
    /// Close a socket. The room has ended it already.
    Close {
        /// Which.
        connection: Connection,
        /// See [`close`](crate::presence::close).
        code: u16,
        /// A few words.
        reason: String,
    },
}

impl Report {
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.asks.is_empty() && self.acks.is_empty() && self.ended.is_empty()
    }
}
