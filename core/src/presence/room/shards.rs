//! Seats in other objects: a room that is too large for one.
//!
//! The room stays one: it knows everybody and decides everything. A shard only holds sockets, so a seat there is a seat like
//! any other, whose frames come as reports and whose effects go as orders.

use std::collections::BTreeSet;

use super::super::Gone;
use super::super::effect::turn_out;
use super::access::full;
use super::{ClientId, Connection, Effect, Identity, Peer, Refusal, Report, Room, Shown, close};

/// More objects than any room needs.
const MOST_SHARDS: usize = 1000;

/// Whoever is sent to a shard has so long to arrive: an upgrade's deadline.
const PROMISE_MS: u64 = 10_000;

/// Where somebody sits who comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seating {
    /// In the room's own object.
    Here,
    /// In a shard, under this number.
    Shard {
        /// Which: 1 and up.
        shard: u32,
        /// The number of the socket.
        connection: Connection,
    },
}

/// What the room knew of a shard when it asked who sits there: the answer is of that time, and reports may overtake it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    there: BTreeSet<Connection>,
    /// The reports heard by then.
    heard: u64,
}

/// A seat for somebody who is on the way.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    pub(super) identity: Identity,
    connection: Connection,
    shard: u32,
    until_ms: u64,
}

/// What somebody is told whom the room takes over from a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Welcome {
    /// He comes in.
    New,
    /// The room went on without him: everything.
    Again,
    /// He was here when the object fell asleep: nothing.
    Silent,
}

impl Room {
    /// Where a client's socket goes: here while there is room, else to the first shard that has some, and one that comes
    /// back to where it was. `down` are shards that do not answer.
    ///
    /// # Errors
    /// As [`Room::join`].
    pub fn seat_for(&mut self, identity: &Identity, down: &[u32], now_ms: u64) -> Result<Seating, Refusal> {
        self.promised.retain(|promise| promise.until_ms > now_ms);
        self.admit(identity, now_ms)?;
        let shard = self.shard_for(&identity.client_id, down).ok_or_else(full)?;
        if shard == 0 {
            return Ok(Seating::Here);
        }
        let connection = self.next_connection(now_ms);
        self.plan_check(identity, now_ms);
        let until_ms = now_ms.saturating_add(PROMISE_MS);
        let promise = Promise { identity: identity.clone(), connection, shard, until_ms };
        self.promised.retain(|older| older.identity.client_id != identity.client_id);
        self.promised.push(promise);
        Ok(Seating::Shard { shard, connection })
    }

    /// The sockets of each object, those on the way among them: streams have seats of their own.
    fn counts(&self) -> Vec<usize> {
        let shards = usize::try_from(self.settings.max_shards).unwrap_or_default();
        let mut counts = vec![0_usize; shards.min(MOST_SHARDS)];
        let seated = self.peers.values().filter(|peer| !peer.beats && !peer.streams).map(|peer| peer.shard);
        for shard in seated.chain(self.promised.iter().map(|promise| promise.shard)) {
            if let Some(count) = usize::try_from(shard).ok().and_then(|shard| counts.get_mut(shard)) {
                *count += 1;
            }
        }
        counts
    }

    /// Who asks again before he has arrived was sent to a shard that may not take him: he is sent to another.
    fn shard_for(&self, client: &ClientId, down: &[u32]) -> Option<u32> {
        let failed = self.promise_of(client).map(|promise| promise.shard);
        let fits = |shard: u32| !down.contains(&shard) && Some(shard) != failed;
        if let Some(held) = self.peers.get(client).filter(|held| !held.beats && fits(held.shard)) {
            return Some(held.shard);
        }
        // Almost every room fits its object.
        if self.peers.len().saturating_add(self.promised.len()) < self.settings.max_peers && fits(0) {
            return Some(0);
        }
        let counts = self.counts();
        let with_room = (0_u32..).zip(counts).filter(|(_, count)| *count < self.settings.max_peers);
        with_room.map(|(shard, _)| shard).find(|shard| fits(*shard))
    }

    /// Who else than this client is on the way to a shard. A promise of his own is kept, or comes to nothing.
    pub(super) fn expected<'a>(&'a self, client: &'a ClientId, now_ms: u64) -> impl Iterator<Item = &'a Identity> {
        let open = self.promised.iter().filter(move |promise| promise.until_ms > now_ms);
        open.map(|promise| &promise.identity).filter(move |identity| identity.client_id != *client)
    }

    fn promise_of(&self, client: &ClientId) -> Option<&Promise> {
        self.promised.iter().find(|promise| promise.identity.client_id == *client)
    }

    /// A shard has reported.
    pub fn hear(&mut self, report: Report, now_ms: u64) -> Vec<Effect> {
        self.heard = self.heard.saturating_add(1);
        let named: Vec<Connection> = report.peers.iter().map(|peer| peer.connection).collect();
        let effects = self.learn(report, now_ms);
        for connection in named {
            if let Some(seat) = self.seats.get_mut(&connection) {
                seat.heard = self.heard;
            }
        }
        effects
    }

    fn learn(&mut self, report: Report, now_ms: u64) -> Vec<Effect> {
        self.fanout.now_ms = now_ms;
        let Report { peers, mut asks, acks, ended, .. } = report;
        let peers = peers.into_iter();
        let mut effects: Vec<Effect> = peers.flat_map(|peer| self.take_over(peer, &mut asks, now_ms)).collect();
        // A shard may speak for a thousand: they are told one after the other.
        for connection in asks {
            let hears = self.peer(connection).and_then(|peer| peer.hears.clone());
            effects.extend(self.subscribe(connection, hears, now_ms));
        }
        for (connection, n) in acks {
            effects.extend(match n {
                Some(n) => self.answer(connection, n, now_ms),
                None => self.has_read(connection, now_ms),
            });
        }
        for (connection, gone) in ended {
            effects.extend(self.left(connection, gone));
        }
        effects
    }

    /// A socket of a shard, as the shard has it. Who hears of other places than before asks for them; who came in with his has
    /// just been told all of them, and once is enough.
    fn take_over(&mut self, peer: Peer, asks: &mut BTreeSet<Connection>, now_ms: u64) -> Vec<Effect> {
        let (connection, hears) = (peer.connection, peer.hears.clone());
        let is_same = self.peer(connection).map(|known| known.hears == hears);
        let effects = self.reported(peer, now_ms);
        if is_same == Some(false) {
            asks.insert(connection);
        } else if is_same.is_none() && hears.is_some() && effects.iter().any(|effect| effect.is_to(connection)) {
            asks.remove(&connection);
        }
        effects
    }

    /// A room that was woken by this has not been told of the socket: those who knew it are told that it is gone, or what
    /// its client shows by another socket.
    fn left(&mut self, connection: Connection, gone: Gone) -> Vec<Effect> {
        if self.peer(connection).is_none() && gone.clock > 0 {
            self.fanout.note_anywhere(gone.client_id, connection, gone.clock);
        }
        self.closed(connection)
    }

    /// A shard is asked who sits there: [`Room::roll`] is to be told of this with the answer.
    #[must_use]
    pub fn asks(&self, shard: u32) -> Asked {
        Asked { there: self.seated(shard).map(|peer| peer.connection).collect(), heard: self.heard }
    }

    /// Whether the shards are to be asked who sits there, before [`Room::tick`]: once in a period, and before anybody there is
    /// ended for what the room may not have heard. The end of a credential is known.
    #[must_use]
    pub fn is_to_roll(&self, now_ms: u64) -> bool {
        let is_doubtful = |peer: &Peer| {
            peer.shard > 0 && peer.ends_at_ms(&self.settings) <= now_ms && peer.identity.expires_at_ms > now_ms
        };
        self.is_check_due(now_ms) || self.peers.values().any(is_doubtful)
    }

    fn seated(&self, shard: u32) -> impl Iterator<Item = &Peer> {
        self.peers.values().filter(move |peer| peer.shard == shard && !peer.beats)
    }

    /// Whether nobody sits in a shard, or is on the way there. Of one that has not said so nobody knows.
    #[must_use]
    pub fn is_deserted(&self, shard: u32, now_ms: u64) -> bool {
        let is_expected = self.promised.iter().any(|promise| promise.shard == shard && promise.until_ms > now_ms);
        !self.is_unheard(shard) && !is_expected && self.seated(shard).next().is_none()
    }

    /// Whether a shard has not said who sits there since this object woke: it is to be asked as soon as it answers.
    #[must_use]
    pub fn is_unheard(&self, shard: u32) -> bool {
        self.unheard.iter().any(|(unheard, _)| *unheard == shard)
    }

    /// A shard has said who sits there, and what it has not reported yet. Who sat there when it was asked and is not named
    /// has left unheard. Of whom it has reported since, the report holds: states have a clock, what somebody hears of has none.
    pub fn roll(&mut self, shard: u32, mut rolled: Report, asked: &Asked, now_ms: u64) -> Vec<Effect> {
        for peer in &mut rolled.peers {
            let is_newer = self.seats.get(&peer.connection).is_some_and(|seat| seat.heard > asked.heard);
            if let Some(known) = self.peer(peer.connection).filter(|_| is_newer) {
                peer.hears.clone_from(&known.hears);
            }
        }
        let there: BTreeSet<Connection> = rolled.peers.iter().map(|peer| peer.connection).collect();
        let untold: Vec<Connection> =
            rolled.moved.iter().copied().filter(|connection| self.peer(*connection).is_none()).collect();
        let mut effects = self.learn(rolled, now_ms);
        self.tell_anywhere(untold);
        for connection in asked.there.difference(&there) {
            effects.extend(self.closed(*connection));
        }
        // An answer to the last question may be lost with the shard's memory.
        effects.extend(there.into_iter().filter_map(|connection| self.ask_again(connection, now_ms)));
        self.unheard.retain(|(unheard, _)| *unheard != shard);
        effects
    }

    /// The object woke, and its shards are still to say who sits there.
    pub fn awaits(&mut self, shards: impl IntoIterator<Item = u32>) {
        self.unheard.extend(shards.into_iter().map(|shard| (shard, false)));
    }

    /// Shards that did not say so in time: the room goes on without those who sit there. Everybody else is told anew, for
    /// nobody knows of whom he was told; those there are told when their shard is heard of.
    pub fn goes_on(&mut self, now_ms: u64) -> Vec<Effect> {
        if self.unheard.iter().all(|(_, goes_on)| *goes_on) {
            return Vec::new();
        }
        for (_, goes_on) in &mut self.unheard {
            *goes_on = true;
        }
        let sockets: Vec<_> = self.peers.values().filter(|peer| !peer.beats).map(|peer| peer.connection).collect();
        sockets.into_iter().flat_map(|connection| self.owe(connection, now_ms)).collect()
    }

    /// A shard takes no orders now: its sockets are behind, as if none of them read.
    pub fn lag(&mut self, shard: u32, now_ms: u64) {
        let shed_ms = now_ms.saturating_add(self.settings.shed_ms);
        for peer in self.peers.values_mut().filter(|peer| peer.shard == shard) {
            if peer.behind_ms == 0 {
                peer.behind_ms = now_ms;
                self.ends_ms = self.ends_ms.min(shed_ms);
            }
            // Whoever waited for the room waits for his shard now.
            self.fanout.owing.remove(&peer.connection);
            // The question may not have arrived: that he did not answer says nothing, also if he was given up for it before.
            if let Some(seat) = self.seats.get_mut(&peer.connection) {
                seat.reading.forget();
            }
        }
    }

    /// A socket of a shard is not sent what was for it, for too much waits there: it is behind, until it is told anew.
    pub fn postpone(&mut self, connection: Connection, now_ms: u64) -> Vec<Effect> {
        let shed_ms = now_ms.saturating_add(self.settings.shed_ms);
        let Some(peer) = self.peer_mut(connection).filter(|peer| peer.behind_ms == 0) else { return Vec::new() };
        peer.behind_ms = now_ms;
        self.ends_ms = self.ends_ms.min(shed_ms);
        // It is not behind for want of an answer: what it was asked may get lost with what waits there.
        if let Some(seat) = self.seats.get_mut(&connection) {
            seat.reading.forget();
        }
        vec![Effect::Save { of: connection }]
    }

    /// A shard takes orders again: some of those there who are behind are told how everything is now, in about so many
    /// bytes, who is behind for longest first: one whose share is too much for its shard does not keep the others. Nothing
    /// when nobody is behind any more but those who do not read: they are told when they have.
    pub fn catch_up(&mut self, shard: u32, bytes: usize, now_ms: u64) -> Vec<Effect> {
        let behind =
            self.peers.values().filter(|peer| peer.shard == shard && peer.behind_ms > 0 && !self.is_asked(peer));
        let mut behind: Vec<_> = behind.map(|peer| (peer.behind_ms, peer.connection)).collect();
        behind.sort_unstable();
        let (mut effects, mut told) = (Vec::new(), 0_usize);
        for (_, connection) in behind {
            if told >= bytes {
                break;
            }
            let renewed = self.has_read(connection, now_ms);
            told = renewed.iter().map(Effect::bytes).fold(told.saturating_add(1), usize::saturating_add);
            effects.extend(renewed);
        }
        effects
    }

    /// A socket of a shard, as the shard has it.
    fn reported(&mut self, peer: Peer, now_ms: u64) -> Vec<Effect> {
        let connection = peer.connection;
        if self.peer(connection).is_some() {
            return self.refresh(peer);
        }
        if self.promised.iter().any(|promise| promise.connection == connection) {
            self.promised.retain(|promise| promise.connection != connection);
            return self.arrive(peer, Welcome::New, now_ms);
        }
        match self.unheard.iter().find(|(shard, _)| *shard == peer.shard).map(|(_, goes_on)| *goes_on) {
            Some(false) => self.arrive(peer, Welcome::Silent, now_ms),
            Some(true) => self.arrive(peer, Welcome::Again, now_ms),
            None => turn_out(connection, close::RESTART, "unknown connection"),
        }
    }

    /// What is newer is taken over (who hears of other places is told of them by [`Room::hear`]), and the shard keeps it itself; one that shows something else is told what is known.
    fn refresh(&mut self, reported: Peer) -> Vec<Effect> {
        let connection = reported.connection;
        self.seen(connection, reported.seen_at_ms);
        let Some(known) = self.peer(connection) else { return Vec::new() };
        let is_wrong = reported.clock <= known.clock && !known.shows_as(&reported);
        self.update(connection, reported.clock, Shown { state: reported.state, at: reported.at });
        if let Some(known) = self.peer_mut(connection) {
            known.hears = reported.hears;
        }
        if is_wrong { vec![Effect::Save { of: connection }] } else { Vec::new() }
    }

    /// Somebody has arrived in a shard. He takes the place of his client's older socket, wherever that is.
    fn arrive(&mut self, mut peer: Peer, welcome: Welcome, now_ms: u64) -> Vec<Effect> {
        let (connection, identity) = (peer.connection, &peer.identity);
        if self.is_outdated(identity) {
            return turn_out(connection, close::RESTART, "access has just changed");
        }
        self.plan_check(identity, now_ms);
        let held = self.peers.get(&identity.client_id);
        if held.is_some_and(|held| held.connection > connection || held.identity.user_id != identity.user_id) {
            return turn_out(connection, close::REPLACED, REPLACED);
        }
        self.last = self.last.max(connection);
        let mut effects = Vec::new();
        let clock = held.map_or(0, |held| held.clock);
        let was = held.map(|held| held.at.clone()).unwrap_or_default();
        if let Some(held) = held {
            effects.push(Effect::Close { connection: held.connection, code: close::REPLACED, reason: REPLACED.into() });
            peer.inherit(held);
        }
        // Whether he was greeted in the place of another is not known, and his shard is to keep what he inherits.
        let greeting = if held.is_some() && welcome == Welcome::Silent { Welcome::Again } else { welcome };
        if welcome == Welcome::Silent && peer.is_recent(now_ms) && peer.clock > 0 {
            self.fanout.note_anywhere(peer.identity.client_id.clone(), connection, peer.clock);
        } else if welcome != Welcome::Silent && peer.clock > clock {
            self.fanout.note(peer.identity.client_id.clone(), connection, peer.clock, was);
        }
        self.seat(peer);
        effects.splice(0..0, self.welcome(connection, greeting, now_ms));
        effects
    }

    fn welcome(&mut self, connection: Connection, welcome: Welcome, now_ms: u64) -> Vec<Effect> {
        match welcome {
            Welcome::Silent => {
                self.ask_sometime(connection, now_ms);
                self.go_on_owing(connection);
            }
            Welcome::New | Welcome::Again => self.reads(connection, now_ms),
        }
        match self.peer(connection) {
            // Who is new is told a page, as in the room itself, unless he has said already what he wants to hear of.
            Some(peer) if welcome == Welcome::New && peer.hears.is_none() => {
                let hello = self.hello(&peer.identity.client_id, None).to_text();
                vec![Effect::Save { of: connection }, Effect::Send { to: connection, text: hello }]
            }
            Some(_) if welcome == Welcome::New => self.renew(connection),
            Some(_) if welcome == Welcome::Again => self.owe(connection, now_ms),
            Some(_) | None => Vec::new(),
        }
    }
}

/// Why an older socket ends.
pub(super) const REPLACED: &str = "replaced by a newer connection";
