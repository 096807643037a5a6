//! Closing a room for a moment: a deploy, or an operator who wants the object elsewhere.
//!
//! Every socket is told when to come back, each at another time, and closes. What its client shows stays as if by heartbeat,
//! so nobody is seen to leave who comes back in time; it outlives the object.

use super::{Connection, Effect, Peer, Room, ServerFrame, WorkspaceId, close};

const REASON: &str = "the room is restarted";

impl Room {
    /// Closes every socket and keeps the seats of those who show something. Nobody is told to come back before `after_ms`, as
    /// far as seats are kept for so long: half a window of that is left for the last one to connect.
    pub fn drain(&mut self, after_ms: u64, now_ms: u64) -> Vec<Effect> {
        let sockets: Vec<Connection> = self.peers.values().filter(|peer| !peer.beats).map(|p| p.connection).collect();
        let (count, window_ms) = (sockets.len(), self.settings.drain_ms);
        let after_ms = after_ms.min(self.settings.beat_ms.saturating_sub(window_ms + window_ms / 2));
        let begins_ms = self.peers.values().next().map_or(0, |peer| begins_at(peer.identity.workspace, window_ms));
        let delay_ms = |index| {
            let within_ms = begins_ms.saturating_add(spread(window_ms, index, count)) % window_ms.max(1);
            after_ms.saturating_add(within_ms)
        };
        let each = sockets.into_iter().enumerate();
        each.flat_map(|(index, socket)| self.send_away(socket, delay_ms(index), now_ms)).collect()
    }

    fn send_away(&mut self, socket: Connection, retry_after_ms: u64, now_ms: u64) -> Vec<Effect> {
        let (code, retry_after_ms) = (close::RESTART, Some(retry_after_ms));
        let text = ServerFrame::Error { code, detail: REASON, retry_after_ms }.to_text();
        let mut effects =
            vec![Effect::Send { to: socket, text }, Effect::Close { connection: socket, code, reason: REASON.into() }];
        let peer = self.seats.remove(&socket).and_then(|seat| self.peers.remove(&seat.client_id));
        if let Some(peer) = peer.filter(|peer| peer.state.is_some()) {
            // A number of its own: the end of the socket is still to be heard.
            let connection = self.next_connection(now_ms);
            self.seat(Peer {
                connection,
                shard: 0,
                beats: true,
                behind_ms: 0,
                hears: None,
                seen_at_ms: now_ms,
                ..peer
            });
            effects.push(Effect::Save { of: connection });
        }
        effects
    }
}

/// Where in the window a room's first client comes back: a deploy drains ten thousand rooms of one socket at once. The low half
/// of a `UUIDv7` is random.
fn begins_at(workspace: WorkspaceId, window_ms: u64) -> u64 {
    workspace.uuid().as_u64_pair().1 % window_ms.max(1)
}

/// When the one of so many comes back, in milliseconds: evenly over the window, so that no two come at once.
#[must_use]
pub fn spread(window_ms: u64, index: usize, count: usize) -> u64 {
    let (index, count) = (u64::try_from(index).unwrap_or(u64::MAX), u64::try_from(count).unwrap_or(u64::MAX));
    window_ms.saturating_mul(index) / count.max(1)
}
