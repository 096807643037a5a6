//! Who is in a workspace right now, and what each shows of himself.
//!
//! In scope: a room as a machine of events and effects; per-client clocks; expiry; the frames; sub-rooms; readers that
//! are too slow; what a socket remembers over hibernation. Out of scope: sockets, alarms and storage (`WorkspacePresence` is
//! their shell).
//!
//! Present is who has shown a state: a socket that is only open is not listed, and a `null` state is a leave.

mod effect;
mod frame;
mod identity;
mod links;
mod peer;
mod places;
mod rate;
mod room;
mod said;
mod shard;

pub use effect::{Audience, Effect, People, Settings, Snapshot};
pub use frame::{Gone, Limits, PeerView, PersonView, ScopeNews, ServerFrame, Shows};
pub use identity::{Identity, IdentityError, Sent};
pub use links::{Heard, Links};
pub use peer::{Connection, Peer};
pub use places::{MOST_HEARD, MOST_SHOWN, Place, Places, PlacesError};
pub use room::{Asked, Room, Seating, spread};
pub use said::{ClientFrame, FrameError, Shown, state_of};
pub use shard::{Order, Orders, Report, Shard};

/// The largest state, in bytes of its JSON text.
pub const MAX_STATE: usize = 4096;

/// The largest frame: a state and what is around it, four places of 100 bytes among it.
pub const MAX_FRAME: usize = MAX_STATE + 1024;

/// The most peers of a `hello` frame and of a page of a snapshot.
pub const PAGE: usize = 100;

/// What clients send to show that they live, and what answers it without waking the object.
pub const PING: &str = "ping";

/// The answer to [`PING`].
pub const PONG: &str = "pong";

/// Close codes. Those below 4000 are RFC 6455's, the others ours, after the HTTP status they resemble.
pub mod close {
    /// Binary frames are not understood.
    pub const UNSUPPORTED: u16 = 1003;
    /// The frame is not JSON, or not a frame of this protocol.
    pub const INVALID: u16 = 1007;
    /// More frames than the room takes from one socket, for too long: send fewer, or coalesce.
    pub const TOO_FAST: u16 = 1008;
    /// The frame or its state is too large.
    pub const TOO_BIG: u16 = 1009;
    /// The room is restarted, or knows nothing of the socket: connect again.
    pub const RESTART: u16 = 1012;
    /// What was sent is read too slowly: connect again when there is room.
    pub const TOO_SLOW: u16 = 1013;
    /// The credential has expired: connect again with a new one.
    pub const EXPIRED: u16 = 4401;
    /// Access was taken away: do not come back with this credential.
    pub const FORBIDDEN: u16 = 4403;
    /// No sign of life within the time: connect again.
    pub const SILENT: u16 = 4408;
    /// The same client connected again: the newer socket has its place.
    pub const REPLACED: u16 = 4409;
    /// The workspace is gone.
    pub const GONE: u16 = 4410;

    /// More frames than twice the rate, and why the socket closes.
    pub(super) const FLOOD: (u16, &str) = (TOO_FAST, "too many frames");
    /// A binary frame: there are none in this protocol.
    pub(super) const BINARY: (u16, &str) = (UNSUPPORTED, "binary frames are not supported");
}
