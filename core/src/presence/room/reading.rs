//! Readers that are too slow.
//!
//! The runtime takes whatever is sent to a socket and keeps it in memory until it is read, so the room asks: now and then a
//! socket that is sent frames has to say that it has read them. One that does not is sent nothing more, whatever happens in
//! the room. When it answers it is told once how everything is now; if it never does, it is closed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::super::Audience;
use super::fanout::Seat;
use super::{Connection, Effect, Peer, Places, Room, ServerFrame, Settings};

/// A socket that has been sent so many bytes is asked soon, however large its room: they are kept for it in memory. A room of
/// a thousand in which two move sends as much in about a minute.
const MUCH: u64 = 256 * 1024;

/// Each tick about so many bytes go to those who are to be told how everything is.
const MOST_OWED: u64 = 1024 * 1024;

/// What is known of a socket's reading. Forgotten by a hibernation, which nobody enters who is sent frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    is_asked: bool,
    /// Whether there was more time for the answer already.
    is_repeated: bool,
    /// When it was asked, or when it had read everything.
    since_ms: u64,
    /// What the room has told, in bytes, when this socket has been sent much.
    much: u64,
    /// Before this it is not told again how everything is: that is as many ticks as it takes frames.
    again_ms: u64,
}

impl Reading {
    /// It has read everything.
    fn rest(&mut self, told: u64, since_ms: u64) {
        (self.is_asked, self.is_repeated) = (false, false);
        (self.since_ms, self.much) = (since_ms, told.saturating_add(MUCH));
    }

    /// It is asked the same again, and has half as long to answer that; but only once, or who is asked often would have for
    /// ever.
    fn repeat(&mut self, now_ms: u64, probe_ms: u64) {
        if !std::mem::replace(&mut self.is_repeated, true) {
            self.since_ms = self.since_ms.max(now_ms.saturating_sub(probe_ms / 2));
        }
    }

    /// Whether it was asked is not known.
    pub(super) fn forget(&mut self) {
        (self.is_asked, self.is_repeated, self.much) = (false, false, 0);
    }

    /// When to ask, or to give up waiting for the answer: after a while if it was sent much, later in a large room if not.
    fn due_ms(&self, told: u64, soon_ms: u64, late_ms: u64) -> u64 {
        let is_soon = self.is_asked || told >= self.much;
        self.since_ms.saturating_add(if is_soon { soon_ms } else { late_ms })
    }
}

impl Room {
    /// A socket has been told everything just now.
    pub(super) fn reads(&mut self, connection: Connection, now_ms: u64) {
        if let Some(seat) = self.seats.get_mut(&connection) {
            seat.reading.rest(self.fanout.told, now_ms);
        }
    }

    /// The object woke, and nobody knows who has read what: all are asked, but not at the same time.
    pub(super) fn ask_anew(&mut self, now_ms: u64) {
        let connections: Vec<Connection> = self.seats.keys().copied().collect();
        for connection in connections {
            self.ask_sometime(connection, now_ms);
            self.go_on_owing(connection);
        }
    }

    /// One that is behind without a question to answer waits to be told, and not to answer.
    pub(super) fn go_on_owing(&mut self, connection: Connection) {
        if self.peer(connection).is_some_and(|peer| peer.behind_ms > 0 && peer.asked == 0) {
            self.fanout.owing.insert(connection);
        }
    }

    /// Nobody knows what this socket has read: it is asked within the period, at a time that is another after each waking.
    pub(super) fn ask_sometime(&mut self, connection: Connection, now_ms: u64) {
        let period_ms = self.settings.probe_of(self.peers.len()).max(1);
        self.reads(connection, now_ms.saturating_sub(connection.0.wrapping_add(now_ms) % period_ms));
    }

    /// An answer of this socket may be lost: if it was asked, it is asked the same again. That it was asked stands.
    pub(super) fn ask_again(&mut self, connection: Connection, now_ms: u64) -> Option<Effect> {
        let probe_ms = self.settings.probe_ms;
        let seat = self.seats.get_mut(&connection).filter(|seat| seat.reading.is_asked)?;
        seat.reading.repeat(now_ms, probe_ms);
        let n = self.peer(connection)?.asked;
        (n > 0).then(|| Effect::Send { to: connection, text: ServerFrame::Probe { n }.to_text() })
    }

    /// Whether it owes an answer.
    pub(super) fn is_asked(&self, peer: &Peer) -> bool {
        self.seats.get(&peer.connection).is_some_and(|seat| seat.reading.is_asked)
    }

    /// A socket has read the question of this number. What answers no question says nothing: who does not read could say it too.
    pub(super) fn answer(&mut self, connection: Connection, n: u64, now_ms: u64) -> Vec<Effect> {
        let is_asked = self.peer(connection).is_some_and(|peer| peer.asked == n && n > 0);
        if is_asked { self.has_read(connection, now_ms) } else { Vec::new() }
    }

    /// A socket has read what it was sent; one that had fallen behind is told how everything is now.
    pub(super) fn has_read(&mut self, connection: Connection, now_ms: u64) -> Vec<Effect> {
        self.reads(connection, now_ms);
        let Some(peer) = self.peer_mut(connection) else { return Vec::new() };
        peer.asked = 0;
        if peer.behind_ms == 0 {
            return Vec::new();
        }
        self.fanout.owing.insert(connection);
        self.turn(connection, now_ms)
    }

    /// A socket wants to hear of other places: it is told who is there. One that is behind is told when it has caught up.
    pub(super) fn subscribe(&mut self, connection: Connection, hears: Option<Places>, now_ms: u64) -> Vec<Effect> {
        let Some(peer) = self.peer_mut(connection) else { return Vec::new() };
        peer.hears = hears;
        self.owe(connection, now_ms)
    }

    /// A socket is to be told how everything is, and until then nothing: when it has answered what it was asked, or when it
    /// is its turn.
    pub(super) fn owe(&mut self, connection: Connection, now_ms: u64) -> Vec<Effect> {
        let shed_ms = now_ms.saturating_add(self.settings.shed_ms);
        let is_asked = self.seats.get(&connection).is_some_and(|seat| seat.reading.is_asked);
        let Some(peer) = self.peer_mut(connection) else { return Vec::new() };
        if peer.behind_ms == 0 {
            peer.behind_ms = now_ms.max(1);
            // Who waits for his turn is not shed for it: no alarm is to come for him.
            if is_asked {
                self.ends_ms = self.ends_ms.min(shed_ms);
            } else {
                self.fanout.owing.insert(connection);
            }
        }
        vec![Effect::Save { of: connection }]
    }

    /// Tells a socket how everything is, if that is owed to it and it was not told so a moment ago.
    pub(super) fn turn(&mut self, connection: Connection, now_ms: u64) -> Vec<Effect> {
        let again_ms = self.seats.get(&connection).map_or(0, |seat| seat.reading.again_ms);
        if now_ms < again_ms || !self.fanout.owing.remove(&connection) {
            return Vec::new();
        }
        let Some(peer) = self.peer_mut(connection).filter(|peer| peer.behind_ms > 0) else { return Vec::new() };
        (peer.behind_ms, peer.asked) = (0, 0);
        let is_stream = peer.streams;
        let mut effects = self.renew(connection);
        let frames = u64::try_from(effects.len().saturating_sub(1)).unwrap_or(u64::MAX);
        let pause_ms = self.settings.tick_of(self.peers.len()).saturating_mul(frames);
        if !is_stream {
            let n = self.ask(&[connection], now_ms);
            effects.push(Effect::Send { to: connection, text: ServerFrame::Probe { n }.to_text() });
        }
        if let Some(seat) = self.seats.get_mut(&connection) {
            seat.reading.again_ms = now_ms.saturating_add(pause_ms);
        }
        effects
    }

    /// Tells those who are owed it how everything is, as many as a tick can bear. That the others wait is not their fault.
    pub(super) fn tell_owed(&mut self, now_ms: u64) -> Vec<Effect> {
        let (mut effects, mut told) = (Vec::new(), 0_u64);
        let waiting: Vec<Connection> = self.fanout.owing.iter().copied().collect();
        for connection in waiting {
            if told < MOST_OWED {
                let anew = self.turn(connection, now_ms);
                told = told.saturating_add(bytes_of(&anew));
                effects.extend(anew);
            }
            if let Some(peer) = self.peer_mut(connection).filter(|peer| peer.behind_ms > 0) {
                peer.behind_ms = now_ms.max(1);
            } else {
                self.fanout.owing.remove(&connection);
            }
        }
        effects
    }

    /// Notes that these are asked, under a number that is of this moment: who does not read cannot count along what the room
    /// tells, and when.
    fn ask(&mut self, asked: &[Connection], now_ms: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.fanout.told, self.last, now_ms, asked).hash(&mut hasher);
        // As many bits as a number of JavaScript has, and never 0.
        let n = (hasher.finish() >> 11).max(1);
        for connection in asked {
            if let Some(seat) = self.seats.get_mut(connection) {
                (seat.reading.is_asked, seat.reading.since_ms) = (true, now_ms);
            }
            if let Some(peer) = self.peer_mut(*connection) {
                peer.asked = n;
            }
        }
        n
    }

    pub(super) fn renew(&self, connection: Connection) -> Vec<Effect> {
        let Some(peer) = self.peer(connection) else { return Vec::new() };
        let frames = self.everybody(&peer.identity.client_id, peer.hears.as_ref()).into_iter();
        let sent = frames.map(|frame| Effect::Send { to: connection, text: frame.to_text() });
        std::iter::once(Effect::Save { of: connection }).chain(sent).collect()
    }

    /// Asks those whose time it is whether they have read these frames and those before, and gives those up for now who did
    /// not answer.
    pub(super) fn probe(&mut self, frames: &[Effect], now_ms: u64) -> Vec<Effect> {
        // What is told at some places only counts for all: they are asked too often, and not too seldom.
        self.fanout.told = self.fanout.told.saturating_add(bytes_of(frames));
        let (mut effects, mut asked) = (Vec::new(), Vec::new());
        let Settings { probe_ms, shed_ms, .. } = self.settings;
        let (told, late_ms) = (self.fanout.told, self.settings.probe_of(self.peers.len()));
        let is_due = |seat: &Seat| seat.reading.due_ms(told, probe_ms, late_ms) <= now_ms;
        for (connection, seat) in self.seats.iter_mut().filter(|(_, seat)| is_due(seat)) {
            let peer =
                self.peers.get_mut(&seat.client_id).filter(|peer| !peer.beats && !peer.streams && peer.behind_ms == 0);
            let Some(peer) = peer else { continue };
            if seat.reading.is_asked {
                peer.behind_ms = now_ms;
                self.ends_ms = self.ends_ms.min(now_ms.saturating_add(shed_ms));
                seat.reading.since_ms = now_ms;
                effects.push(Effect::Save { of: *connection });
            } else {
                asked.push(*connection);
            }
        }
        if !asked.is_empty() {
            let n = self.ask(&asked, now_ms);
            effects.push(Effect::Broadcast { to: Audience::Only(asked), text: ServerFrame::Probe { n }.to_text() });
        }
        effects
    }
}

fn bytes_of(effects: &[Effect]) -> u64 {
    let bytes = effects.iter().map(Effect::bytes).fold(0_usize, usize::saturating_add);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
