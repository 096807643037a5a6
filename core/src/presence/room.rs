//! The room: events in, effects out.
//!
//! In scope: who is present, whose update counts, whom a silence or a narrowing ends. Out of scope: performing effects;
//! the shell does that, in order, and nothing waits between.

mod access;
mod audience;
mod drain;
mod fanout;
mod listing;
mod reading;
mod shards;

use std::collections::BTreeMap;

use super::effect::turn_out;
use super::rate::Pace;
use super::{
    ClientFrame, Connection, Effect, Identity, PAGE, PING, PONG, Peer, PeerView, Places, Report, ServerFrame, Settings,
    Shown, Snapshot, close,
};
use crate::id::{UserId, WorkspaceId};
use crate::refusal::Refusal;
use crate::sync::ClientId;
use access::full;
pub use drain::spread;
use fanout::{Fanout, Seat};
pub use shards::{Asked, Seating};
use shards::{Promise, REPLACED};

/// A room of one workspace: its sockets, one per client.
#[derive(Clone, Debug, Default)]
pub struct Room {
    peers: BTreeMap<ClientId, Peer>,
    /// The same peers by socket, for a frame names a socket.
    seats: BTreeMap<Connection, Seat>,
    fanout: Fanout,
    /// The epochs of the narrowings heard of; 0 for one whose epoch is not known.
    narrowed: BTreeMap<UserId, i64>,
    settings: Settings,
    last: Connection,
    /// No peer ends before this by itself.
    ends_ms: u64,
    /// Who is on the way to a shard.
    promised: Vec<Promise>,
    /// Shards that have not said who sits there since this object woke; whether it went on without them.
    unheard: Vec<(u32, bool)>,
    /// How many reports of shards were heard.
    heard: u64,
    /// When to ask next whether everybody still may be here; 0 after a hibernation: at the next tick.
    check_ms: u64,
    /// Whom it asked after last: the next round begins behind him.
    checked: Option<UserId>,
}

impl Room {
    /// The room as its sockets remember it. Of two sockets of one client the newer has the place.
    #[must_use]
    pub fn restore(settings: Settings, peers: impl IntoIterator<Item = Peer>, now_ms: u64) -> Self {
        let mut room = Self { settings, ..Self::default() };
        for peer in peers {
            room.last = room.last.max(peer.connection);
            let held = room.peers.get(&peer.identity.client_id);
            if held.is_none_or(|held| held.connection < peer.connection) {
                room.seat(peer);
            }
        }
        room.ends_ms = room.earliest_end();
        room.ask_anew(now_ms);
        room.retell(now_ms);
        room
    }

    /// A client connects. One of the same id and user takes the older socket's place, state and clock included.
    ///
    /// # Errors
    /// `client-mismatch` if the id is in use by another user; `token-expired` if the credential is already over;
    /// `gate-unavailable` if access was narrowed after the admission; `overloaded` if the room is full;
    /// `quota-exceeded` if the user has too many sockets here.
    pub fn join(&mut self, identity: Identity, now_ms: u64) -> Result<(Connection, Vec<Effect>), Refusal> {
        self.admit(&identity, now_ms)?;
        let held = self.peers.get(&identity.client_id);
        let replaced = held.map(|held| held.connection);
        let (clock, state, at) = held.map(|held| (held.clock, held.state.clone(), held.at.clone())).unwrap_or_default();
        let connection = self.next_connection(now_ms);
        let hello = self.hello(&identity.client_id, None);
        self.plan_check(&identity, now_ms);
        let seat = Peer { connection, clock, state, at, ..Peer::new(identity, now_ms) };
        self.seat(seat);
        self.reads(connection, now_ms);
        let mut effects = vec![Effect::Save { of: connection }, Effect::Send { to: connection, text: hello.to_text() }];
        if let Some(older) = replaced {
            self.seats.remove(&older);
            effects.push(Effect::Close { connection: older, code: close::REPLACED, reason: REPLACED.into() });
        }
        Ok((connection, effects))
    }

    /// Somebody opens a stream of events, who only hears: of some places, or of the whole room. His client id is no client's.
    ///
    /// # Errors
    /// As [`Room::join`].
    pub fn listen(
        &mut self,
        identity: Identity,
        hears: Option<Places>,
        now_ms: u64,
    ) -> Result<(Connection, Vec<Effect>), Refusal> {
        self.admit(&identity, now_ms)?;
        // Streams stay here: a shard holds sockets only.
        if self.peers.values().filter(|peer| peer.streams).count() >= self.settings.max_peers {
            return Err(full());
        }
        let connection = self.next_connection(now_ms);
        self.plan_check(&identity, now_ms);
        let frames = self.everybody(&identity.client_id, hears.as_ref()).into_iter();
        let told = frames.map(|frame| Effect::Send { to: connection, text: frame.to_text() }).collect();
        self.seat(Peer { connection, hears, streams: true, ..Peer::new(identity, now_ms) });
        Ok((connection, told))
    }

    /// A client without a socket gives a sign of life. It has a seat for as long as its heartbeats come; one that has a
    /// socket too speaks for that.
    ///
    /// # Errors
    /// As [`Room::join`].
    pub fn beat(&mut self, identity: Identity, clock: u64, shown: Shown, now_ms: u64) -> Result<Vec<Effect>, Refusal> {
        self.admit(&identity, now_ms)?;
        self.fanout.now_ms = now_ms;
        if let Some(held) = self.peers.get_mut(&identity.client_id) {
            let connection = held.connection;
            held.seen_at_ms = held.seen_at_ms.max(now_ms);
            let ends = held.beats && shown.state.is_none() && clock > held.clock;
            if held.beats {
                held.identity = identity;
            }
            let mut effects = self.update(connection, clock, shown);
            if ends {
                effects.extend(self.end(connection, None));
            } else if effects.is_empty() {
                effects.push(Effect::Save { of: connection });
            }
            return Ok(effects);
        }
        if shown.state.is_none() {
            return Ok(Vec::new());
        }
        self.plan_check(&identity, now_ms);
        let connection = self.next_connection(now_ms);
        self.seat(Peer { connection, beats: true, ..Peer::new(identity, now_ms) });
        Ok(self.update(connection, clock.max(1), shown))
    }

    /// A text frame came. A bad one closes its sender, and nobody else notices more than a leave.
    pub fn frame(&mut self, connection: Connection, text: &str, now_ms: u64) -> Vec<Effect> {
        self.fanout.now_ms = now_ms;
        let settings = self.settings;
        let Some(pace) = self.seats.get_mut(&connection).map(|seat| seat.rate.hear(&settings, now_ms)) else {
            return vec![Effect::Close { connection, code: close::RESTART, reason: "unknown connection".into() }];
        };
        self.seen(connection, now_ms);
        if pace == Pace::TooFast {
            return self.end(connection, Some(close::FLOOD));
        }
        if text == PING {
            return vec![Effect::Send { to: connection, text: PONG.to_owned() }];
        }
        match ClientFrame::parse(text) {
            Ok(ClientFrame::Update { clock, shown }) if pace == Pace::Now => self.update(connection, clock, shown),
            Ok(ClientFrame::Update { clock, shown }) => self.hold(connection, clock, shown),
            Ok(ClientFrame::Subscribe { to }) => {
                let saved = self.subscribe(connection, to, now_ms);
                saved.into_iter().chain(self.turn(connection, now_ms)).collect()
            }
            Ok(ClientFrame::Ack { n }) => self.answer(connection, n, now_ms),
            Ok(ClientFrame::Unknown) => Vec::new(),
            Err(error) => self.end(connection, Some(error.close())),
        }
    }

    /// A binary frame came: there are none in this protocol.
    pub fn binary(&mut self, connection: Connection) -> Vec<Effect> {
        self.end(connection, Some(close::BINARY))
    }

    /// The socket is closed, or broken.
    pub fn closed(&mut self, connection: Connection) -> Vec<Effect> {
        self.end(connection, None)
    }

    /// A sign of life that woke nobody, such as an answered ping. An older one than the last known changes nothing.
    pub fn seen(&mut self, connection: Connection, at_ms: u64) {
        if let Some(peer) = self.peer_mut(connection) {
            peer.seen_at_ms = peer.seen_at_ms.max(at_ms);
        }
    }

    /// The workspace is gone: everyone's sockets close.
    pub fn clear(&mut self) -> Vec<Effect> {
        self.end_where(|_| true, |_| (close::GONE, "the workspace is gone"))
    }

    /// Time has passed: what is over ends. Note signs of life first.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Effect> {
        let settings = self.settings;
        let effects = self.end_where(|peer| peer.ends_at_ms(&settings) <= now_ms, |peer| peer.over(&settings, now_ms));
        self.ends_ms = self.earliest_end();
        effects
    }

    /// When to call [`Room::tick`] next, in milliseconds since 1970; `None` for an empty room, which costs nothing.
    #[must_use]
    pub fn next_tick_ms(&self, now_ms: u64) -> Option<u64> {
        let period = now_ms.saturating_add(self.settings.alarm_ms);
        if self.peers.is_empty() {
            // Whether it is empty is not known while a shard has not said who sits there.
            return (!self.unheard.is_empty()).then_some(period);
        }
        let check = if self.check_ms == 0 { period } else { self.check_ms.min(period) };
        Some(self.ends_ms.min(check).max(now_ms))
    }

    /// The peer of a socket.
    #[must_use]
    pub fn peer(&self, connection: Connection) -> Option<&Peer> {
        self.peers.get(&self.seats.get(&connection)?.client_id)
    }

    /// Every open socket's peer, present or not.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    fn seat(&mut self, peer: Peer) {
        let seat = Seat::new(peer.identity.client_id.clone());
        self.ends_ms = self.ends_ms.min(peer.ends_at_ms(&self.settings));
        self.seats.insert(peer.connection, seat);
        if let Some(older) = self.peers.insert(peer.identity.client_id.clone(), peer) {
            self.seats.remove(&older.connection);
        }
    }

    fn peer_mut(&mut self, connection: Connection) -> Option<&mut Peer> {
        self.peers.get_mut(&self.seats.get(&connection)?.client_id)
    }

    /// Never a number used before: the end of an old socket may be heard after a new one has come. Milliseconds since
    /// 1970, or one more than the last; so a room that forgot the last one still gives a later one.
    fn next_connection(&mut self, now_ms: u64) -> Connection {
        self.last = Connection(now_ms.max(self.last.0.saturating_add(1)));
        self.last
    }

    fn earliest_end(&self) -> u64 {
        self.peers.values().map(|peer| peer.ends_at_ms(&self.settings)).min().unwrap_or(u64::MAX)
    }

    fn end(&mut self, connection: Connection, why: Option<(u16, &'static str)>) -> Vec<Effect> {
        let peer = self.seats.remove(&connection).and_then(|seat| self.peers.remove(&seat.client_id));
        if let Some(peer) = peer.filter(|peer| peer.state.is_some()) {
            self.fanout.note(peer.identity.client_id, peer.connection, peer.clock, peer.at);
        }
        let Some((code, reason)) = why else { return vec![Effect::Forget { connection }] };
        turn_out(connection, code, reason)
    }

    fn end_where(&mut self, over: impl Fn(&Peer) -> bool, why: impl Fn(&Peer) -> (u16, &'static str)) -> Vec<Effect> {
        let ended: Vec<_> =
            self.peers.values().filter(|peer| over(peer)).map(|peer| (peer.connection, why(peer))).collect();
        ended.into_iter().flat_map(|(connection, why)| self.end(connection, Some(why))).collect()
    }
}

#[cfg(test)]
mod tests;
