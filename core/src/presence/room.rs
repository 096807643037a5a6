//! The room: events in, effects out.
//!
//! In scope: who is present, whose update counts, whom a silence or a narrowing ends. Out of scope: performing effects;
//! the shell does that, in order, and nothing waits between.

mod fanout;

use std::collections::{BTreeMap, BTreeSet};

use super::rate::Pace;
use super::{
    ClientFrame, Connection, Effect, FrameError, Identity, PAGE, PING, PONG, Peer, PeerView, ServerFrame, Settings,
    Snapshot, close,
};
use crate::id::{UserId, WorkspaceId};
use crate::refusal::{Code, Refusal};
use crate::sync::ClientId;
use fanout::{Fanout, Seat};

/// A full room empties as people leave: seconds after which to try again.
const RETRY_FULL_S: u32 = 5;

/// Narrowings matter to joins that are under way, a few seconds at most; more of them than this are forgotten together.
const MOST_NARROWED: usize = 1000;

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
    /// When to ask next whether everybody still may be here; 0 after a hibernation: at the next tick.
    check_ms: u64,
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
        let (clock, state) = held.map(|held| (held.clock, held.state.clone())).unwrap_or_default();
        let connection = self.next_connection(now_ms);
        let hello = self.hello(&identity.client_id);
        self.plan_check(&identity, now_ms);
        self.seat(Peer { connection, identity, clock, state, seen_at_ms: now_ms, beats: false });
        let mut effects = vec![Effect::Save { of: connection }, Effect::Send { to: connection, text: hello.to_text() }];
        if let Some(older) = replaced {
            self.seats.remove(&older);
            let reason = "replaced by a newer connection";
            effects.push(Effect::Close { connection: older, code: close::REPLACED, reason });
        }
        Ok((connection, effects))
    }

    /// A client without a socket gives a sign of life. It has a seat for as long as its heartbeats come; one that has a
    /// socket too speaks for that.
    ///
    /// # Errors
    /// As [`Room::join`].
    pub fn beat(
        &mut self,
        identity: Identity,
        clock: u64,
        state: Option<String>,
        now_ms: u64,
    ) -> Result<Vec<Effect>, Refusal> {
        self.admit(&identity, now_ms)?;
        if let Some(held) = self.peers.get_mut(&identity.client_id) {
            let connection = held.connection;
            held.seen_at_ms = held.seen_at_ms.max(now_ms);
            let ends = held.beats && state.is_none() && clock > held.clock;
            if held.beats {
                held.identity = identity;
            }
            let mut effects = self.update(connection, clock, state);
            if ends {
                effects.extend(self.end(connection, None));
            } else if effects.is_empty() {
                effects.push(Effect::Save { of: connection });
            }
            return Ok(effects);
        }
        if state.is_none() {
            return Ok(Vec::new());
        }
        self.plan_check(&identity, now_ms);
        let connection = self.next_connection(now_ms);
        self.seat(Peer { connection, identity, clock: 0, state: None, seen_at_ms: now_ms, beats: true });
        Ok(self.update(connection, clock.max(1), state))
    }

    /// A text frame came. A bad one closes its sender, and nobody else notices more than a leave.
    pub fn frame(&mut self, connection: Connection, text: &str, now_ms: u64) -> Vec<Effect> {
        let settings = self.settings;
        let Some(pace) = self.seats.get_mut(&connection).map(|seat| seat.rate.hear(&settings, now_ms)) else {
            return vec![Effect::Close { connection, code: close::RESTART, reason: "unknown connection" }];
        };
        self.seen(connection, now_ms);
        if pace == Pace::TooFast {
            return self.end(connection, Some((close::TOO_FAST, "too many frames")));
        }
        if text == PING {
            return vec![Effect::Send { to: connection, text: PONG.to_owned() }];
        }
        match ClientFrame::parse(text) {
            Ok(ClientFrame::Update { clock, state }) if pace == Pace::Now => self.update(connection, clock, state),
            Ok(ClientFrame::Update { clock, state }) => self.hold(connection, clock, state),
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
        if let Some(peer) = self.peer_mut(connection) {
            peer.seen_at_ms = peer.seen_at_ms.max(at_ms);
        }
    }

    /// Access of a user was narrowed at this epoch (0: not known): his sockets close, and a join that was admitted
    /// before it is refused.
    pub fn narrow(&mut self, user_id: UserId, authz_epoch: i64) -> Vec<Effect> {
        if self.narrowed.len() >= MOST_NARROWED {
            self.narrowed.clear();
        }
        let known = self.narrowed.entry(user_id).or_default();
        *known = (*known).max(authz_epoch);
        self.end_where(|peer| peer.identity.user_id == user_id, |_| (close::FORBIDDEN, "access was narrowed"))
    }

    /// Whom to ask after: everybody here, once per user, at most once in a period. The answer is for the sockets that
    /// are here now.
    pub fn to_check(&mut self, now_ms: u64) -> (Vec<(WorkspaceId, UserId)>, Connection) {
        if self.check_ms > now_ms {
            return (Vec::new(), self.last);
        }
        self.check_ms = now_ms.saturating_add(self.settings.alarm_ms);
        let identities = self.peers.values().map(|peer| &peer.identity);
        let users: BTreeSet<_> = identities.map(|identity| (identity.workspace, identity.user_id)).collect();
        (users.into_iter().collect(), self.last)
    }

    /// A user has no role here any more, as of [`Room::to_check`]: the sockets he had then close.
    pub fn revoke(&mut self, user_id: UserId, up_to: Connection) -> Vec<Effect> {
        self.end_where(
            |peer| peer.identity.user_id == user_id && peer.connection <= up_to,
            |_| (close::FORBIDDEN, "access was narrowed"),
        )
    }

    /// The workspace is gone: everyone's sockets close.
    pub fn clear(&mut self) -> Vec<Effect> {
        self.end_where(|_| true, |_| (close::GONE, "the workspace is gone"))
    }

    /// Time has passed: what is over ends. Note signs of life first.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Effect> {
        let settings = self.settings;
        let effects = self.end_where(
            |peer| peer.ends_at_ms(&settings) <= now_ms,
            |peer| {
                if peer.identity.expires_at_ms <= now_ms {
                    (close::EXPIRED, "the credential has expired")
                } else {
                    (close::SILENT, "no sign of life")
                }
            },
        );
        self.ends_ms = self.earliest_end();
        effects
    }

    /// When to call [`Room::tick`] next, in milliseconds since 1970; `None` for an empty room, which costs nothing.
    #[must_use]
    pub fn next_tick_ms(&self, now_ms: u64) -> Option<u64> {
        if self.peers.is_empty() {
            return None;
        }
        let period = now_ms.saturating_add(self.settings.alarm_ms);
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

    fn admit(&self, identity: &Identity, now_ms: u64) -> Result<(), Refusal> {
        if identity.expires_at_ms <= now_ms {
            return Err(Refusal::new(Code::TokenExpired, "The token has expired."));
        }
        if self.narrowed.get(&identity.user_id).is_some_and(|epoch| *epoch > identity.authz_epoch) {
            let detail = "Access to the workspace has just changed. Retry after the time given.";
            return Err(Refusal::new(Code::GateUnavailable, detail).with_retry_after(1));
        }
        match self.peers.get(&identity.client_id) {
            Some(held) if held.identity.user_id != identity.user_id => {
                return Err(Refusal::new(Code::ClientMismatch, "The client id is in use by another user."));
            }
            Some(_) => return Ok(()),
            None => {}
        }
        if self.peers.len() >= self.settings.max_peers {
            return Err(Refusal::new(Code::Overloaded, "The room is full.").with_retry_after(RETRY_FULL_S));
        }
        let own = self.peers.values().filter(|peer| peer.identity.user_id == identity.user_id).count();
        if own < self.settings.max_per_user {
            return Ok(());
        }
        let detail = format!("You have {own} connections to this room already. Close one, or reuse its client id.");
        Err(Refusal::new(Code::QuotaExceeded, detail).with_retry_after(RETRY_FULL_S))
    }

    /// The first to come starts the period.
    fn plan_check(&mut self, identity: &Identity, now_ms: u64) {
        if self.peers.is_empty() {
            (self.ends_ms, self.check_ms) = (u64::MAX, now_ms.saturating_add(self.settings.alarm_ms));
        }
        if self.narrowed.get(&identity.user_id) == Some(&0) {
            // Whether this admission is from before that narrowing cannot be told: ask at once.
            self.check_ms = now_ms;
        }
    }

    fn seat(&mut self, peer: Peer) {
        let seat = Seat { client_id: peer.identity.client_id.clone(), rate: super::rate::Rate::default(), held: None };
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

    fn fault(&mut self, connection: Connection, error: FrameError) -> Vec<Effect> {
        let reason = match error {
            FrameError::TooBig => "frame too large",
            FrameError::Invalid => "not a presence frame",
        };
        self.end(connection, Some((error.close_code(), reason)))
    }

    fn end(&mut self, connection: Connection, why: Option<(u16, &'static str)>) -> Vec<Effect> {
        let peer = self.seats.remove(&connection).and_then(|seat| self.peers.remove(&seat.client_id));
        if let Some(peer) = peer.filter(|peer| peer.state.is_some()) {
            self.fanout.note(peer.identity.client_id, peer.connection, peer.clock);
        }
        let Some((code, reason)) = why else { return vec![Effect::Forget { connection }] };
        let text = ServerFrame::Error { code, detail: reason }.to_text();
        vec![Effect::Send { to: connection, text }, Effect::Close { connection, code, reason }]
    }

    fn end_where(&mut self, over: impl Fn(&Peer) -> bool, why: impl Fn(&Peer) -> (u16, &'static str)) -> Vec<Effect> {
        let ended: Vec<_> =
            self.peers.values().filter(|peer| over(peer)).map(|peer| (peer.connection, why(peer))).collect();
        ended.into_iter().flat_map(|(connection, why)| self.end(connection, Some(why))).collect()
    }
}

#[cfg(test)]
mod tests;
