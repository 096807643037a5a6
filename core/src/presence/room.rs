//! The room: events in, effects out.
//!
//! In scope: who is present, whose update counts, whom a silence or a narrowing ends. Out of scope: performing effects;
//! the shell does that, in order, and nothing waits between.

use std::collections::BTreeMap;

use super::{
    ClientFrame, Connection, Effect, FrameError, Identity, Limits, MAX_STATE, PAGE, PING, PONG, Peer, PeerView,
    ServerFrame, Settings, Snapshot, close,
};
use crate::id::UserId;
use crate::refusal::{Code, Refusal};
use crate::sync::ClientId;

/// A full room empties as people leave: seconds after which to try again.
const RETRY_FULL_S: u32 = 5;

/// A room of one workspace: its sockets, one per client.
#[derive(Clone, Debug, Default)]
pub struct Room {
    peers: BTreeMap<ClientId, Peer>,
    settings: Settings,
    last: Connection,
}

impl Room {
    /// The room as its sockets remember it. Of two sockets of one client the newer has the place.
    #[must_use]
    pub fn restore(settings: Settings, peers: impl IntoIterator<Item = Peer>) -> Self {
        let mut room = Self { settings, ..Self::default() };
        for peer in peers {
            room.last = room.last.max(peer.connection);
            let held = room.peers.get(&peer.identity.client_id);
            if held.is_none_or(|held| held.connection < peer.connection) {
                room.peers.insert(peer.identity.client_id.clone(), peer);
            }
        }
        room
    }

    /// A client connects. One of the same id and user takes the older socket's place, state and clock included.
    ///
    /// # Errors
    /// `client-mismatch` if the id is in use by another user; `token-expired` if the credential is already over;
    /// `overloaded` if the room is full.
    pub fn join(&mut self, identity: Identity, now_ms: u64) -> Result<(Connection, Vec<Effect>), Refusal> {
        if identity.expires_at_ms <= now_ms {
            return Err(Refusal::new(Code::TokenExpired, "The token has expired."));
        }
        let held = self.peers.get(&identity.client_id);
        if held.is_some_and(|held| held.identity.user_id != identity.user_id) {
            return Err(Refusal::new(Code::ClientMismatch, "The client id is in use by another user."));
        }
        if held.is_none() && self.peers.len() >= self.settings.max_peers {
            return Err(Refusal::new(Code::Overloaded, "The room is full.").with_retry_after(RETRY_FULL_S));
        }
        let replaced = held.map(|held| held.connection);
        let (clock, state) = held.map(|held| (held.clock, held.state.clone())).unwrap_or_default();
        let connection = self.next_connection(now_ms);
        let hello = self.hello(&identity.client_id);
        let peer = Peer { connection, identity, clock, state, seen_at_ms: now_ms };
        self.peers.insert(peer.identity.client_id.clone(), peer);
        let mut effects = vec![Effect::Save { of: connection }, Effect::Send { to: connection, text: hello.to_text() }];
        if let Some(older) = replaced {
            effects.push(Effect::Close {
                connection: older,
                code: close::REPLACED,
                reason: "replaced by a newer connection",
            });
        }
        Ok((connection, effects))
    }

    /// A text frame came. A bad one closes its sender, and nobody else notices more than a leave.
    pub fn frame(&mut self, connection: Connection, text: &str, now_ms: u64) -> Vec<Effect> {
        if self.peer(connection).is_none() {
            return vec![Effect::Close { connection, code: close::RESTART, reason: "unknown connection" }];
        }
        self.seen(connection, now_ms);
        if text == PING {
            return vec![Effect::Send { to: connection, text: PONG.to_owned() }];
        }
        match ClientFrame::parse(text) {
            Ok(ClientFrame::Update { clock, state }) => self.update(connection, clock, state),
            Err(error) => self.fault(connection, error),
        }
    }

    /// A binary frame came: there are none in this protocol.
    pub fn binary(&mut self, connection: Connection) -> Vec<Effect> {
        self.end(connection, Some((close::UNSUPPORTED, "binary frames are not supported")))
    }

    /// The socket is closed, or broken.
    pub fn closed(&mut self, connection: Connection) -> Vec<Effect> {
        self.end(connection, None)
    }

    /// A sign of life that woke nobody, such as an answered ping. An older one than the last known changes nothing.
    pub fn seen(&mut self, connection: Connection, at_ms: u64) {
        if let Some(peer) = self.peers.values_mut().find(|peer| peer.connection == connection) {
            peer.seen_at_ms = peer.seen_at_ms.max(at_ms);
        }
    }

    /// Access of a user was narrowed: his sockets close.
    pub fn narrow(&mut self, user_id: UserId) -> Vec<Effect> {
        self.end_where(|peer| peer.identity.user_id == user_id, |_| (close::FORBIDDEN, "access was narrowed"))
    }

    /// The workspace is gone: everyone's sockets close.
    pub fn clear(&mut self) -> Vec<Effect> {
        self.end_where(|_| true, |_| (close::GONE, "the workspace is gone"))
    }

    /// Time has passed: what is over ends. Note signs of life first.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Effect> {
        let settings = self.settings;
        self.end_where(
            |peer| peer.ends_at_ms(&settings) <= now_ms,
            |peer| {
                if peer.identity.expires_at_ms <= now_ms {
                    (close::EXPIRED, "the credential has expired")
                } else {
                    (close::SILENT, "no sign of life")
                }
            },
        )
    }

    /// When to call [`Room::tick`] next, in milliseconds since 1970; `None` for an empty room, which costs nothing.
    #[must_use]
    pub fn next_tick_ms(&self, now_ms: u64) -> Option<u64> {
        let earliest = self.peers.values().map(|peer| peer.ends_at_ms(&self.settings)).min()?;
        Some(earliest.min(now_ms.saturating_add(self.settings.alarm_ms)).max(now_ms))
    }

    /// The peer of a socket.
    #[must_use]
    pub fn peer(&self, connection: Connection) -> Option<&Peer> {
        self.peers.values().find(|peer| peer.connection == connection)
    }

    /// Every open socket's peer, present or not.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// A page of those present, by client id, after the one named. At least 1 and at most [`PAGE`].
    #[must_use]
    pub fn snapshot(&self, after: Option<&ClientId>, limit: usize) -> Snapshot {
        let limit = limit.clamp(1, PAGE);
        let later = self.peers.values().filter(|peer| after.is_none_or(|after| peer.identity.client_id > *after));
        let mut data: Vec<PeerView> = later.filter_map(Peer::view).take(limit + 1).collect();
        let more = data.len() > limit;
        data.truncate(limit);
        let next = data.last().filter(|_| more).map(|view| view.client_id.clone());
        Snapshot { data, next }
    }

    /// Never a number used before: the end of an old socket may be heard after a new one has come. Milliseconds since
    /// 1970, or one more than the last; so a room that forgot the last one still gives a later one.
    fn next_connection(&mut self, now_ms: u64) -> Connection {
        self.last = Connection(now_ms.max(self.last.0.saturating_add(1)));
        self.last
    }

    fn hello(&self, client_id: &ClientId) -> ServerFrame {
        let others = self.peers.values().filter(|peer| peer.identity.client_id != *client_id);
        let mut peers: Vec<PeerView> = others.filter_map(Peer::view).take(PAGE + 1).collect();
        let more = peers.len() > PAGE;
        peers.truncate(PAGE);
        ServerFrame::Hello {
            v: 1,
            client_id: client_id.clone(),
            peers,
            limits: Limits { state_bytes: MAX_STATE },
            more,
        }
    }

    fn update(&mut self, connection: Connection, clock: u64, state: Option<String>) -> Vec<Effect> {
        let Some(peer) = self.peers.values_mut().find(|peer| peer.connection == connection) else {
            return Vec::new();
        };
        if clock <= peer.clock {
            return Vec::new();
        }
        let was_present = peer.state.is_some();
        peer.clock = clock;
        peer.state = state;
        let frame = match peer.view() {
            Some(view) => Some(ServerFrame::Patch { peers: vec![view] }),
            None if was_present => Some(ServerFrame::Leave { client_id: peer.identity.client_id.clone(), clock }),
            None => None,
        };
        let mut effects = vec![Effect::Save { of: connection }];
        effects.extend(frame.map(|frame| Effect::Broadcast { except: connection, text: frame.to_text() }));
        effects
    }

    fn fault(&mut self, connection: Connection, error: FrameError) -> Vec<Effect> {
        let (code, reason) = match error {
            FrameError::TooBig => (error.close_code(), "frame too large"),
            FrameError::Invalid => (error.close_code(), "not a presence frame"),
        };
        self.end(connection, Some((code, reason)))
    }

    fn end(&mut self, connection: Connection, why: Option<(u16, &'static str)>) -> Vec<Effect> {
        let client_id = self.peer(connection).map(|peer| peer.identity.client_id.clone());
        let peer = client_id.and_then(|client_id| self.peers.remove(&client_id));
        let mut effects = Vec::new();
        if let Some((code, reason)) = why {
            effects.push(Effect::Send { to: connection, text: ServerFrame::Error { code, detail: reason }.to_text() });
            effects.push(Effect::Close { connection, code, reason });
        }
        effects.extend(peer.and_then(leave));
        effects
    }

    fn end_where(&mut self, over: impl Fn(&Peer) -> bool, why: impl Fn(&Peer) -> (u16, &'static str)) -> Vec<Effect> {
        let ended: Vec<_> =
            self.peers.values().filter(|peer| over(peer)).map(|peer| (peer.connection, why(peer))).collect();
        ended.into_iter().flat_map(|(connection, why)| self.end(connection, Some(why))).collect()
    }
}

/// The others learn of the end of those who were present.
fn leave(peer: Peer) -> Option<Effect> {
    peer.state?;
    let frame = ServerFrame::Leave { client_id: peer.identity.client_id, clock: peer.clock };
    Some(Effect::Broadcast { except: peer.connection, text: frame.to_text() })
}

#[cfg(test)]
mod tests;
