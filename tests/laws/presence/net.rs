//! A room in several objects: its shards, the wires between them, and the sockets.

use std::collections::{BTreeMap, BTreeSet};

use drey_core::presence::{Connection, Effect, Identity, Links, Orders, Peer, Report, Room, Seating, Settings, Shard};

use super::world::{self, Known, answer, hear, identity};

/// Two sockets an object, three objects a room.
const SETTINGS: Settings = Settings { max_peers: 2, max_shards: 3, ..world::SETTINGS };

/// Enough for what is told in one go.
const BYTES: usize = 500;

/// What is told in one go is sometimes more than that, and what one socket is told anew as well.
const QUEUED: usize = 6_000;
const SENT: usize = 300;

/// Hardly more than one order.
const CARRIED: usize = 200;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    Answered,
    /// It is taken, and its sender does not hear so.
    AnswerLost,
    /// Its sender gives it up; it comes when others have come.
    Late,
    Lost,
}

/// A socket: where it is, what is attached to it, what its reader knows.
pub(super) struct Socket {
    pub(super) client: String,
    pub(super) shard: u32,
    attached: String,
    pub(super) known: Known,
    is_greeted: bool,
}

/// A room, its shards, the wires between them and the sockets.
pub(super) struct Net {
    pub(super) now: u64,
    pub(super) room: Room,
    links: Links,
    pub(super) shards: BTreeMap<u32, Shard>,
    pub(super) sockets: BTreeMap<Connection, Socket>,
    pub(super) arriving: Vec<(Identity, u32, Connection)>,
    /// Whom this room has sent to a shard, and his last number.
    sent: BTreeMap<String, Connection>,
    late_reports: Vec<Report>,
    late_orders: Vec<(u32, Orders)>,
    /// Shards that may have had something to say when they crashed, until they are asked.
    crashed: BTreeSet<u32>,
}

impl Net {
    pub(super) fn new() -> Self {
        let now = 1_000_000;
        let shards = (1..3).map(|shard| (shard, Shard::restore(SETTINGS, [], now))).collect();
        Self {
            now,
            room: Room::restore(SETTINGS, [], now),
            links: Links::with_most(QUEUED, SENT, CARRIED, now),
            shards,
            sockets: BTreeMap::new(),
            arriving: Vec::new(),
            sent: BTreeMap::new(),
            late_reports: Vec::new(),
            late_orders: Vec::new(),
            crashed: BTreeSet::new(),
        }
    }

    /// As the room's shell does: what is for shards goes there.
    pub(super) fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let of = if let Effect::Save { of } = &effect { self.room.peer(*of).cloned() } else { None };
            if !self.links.take(&effect, of.as_ref()) {
                self.at(0, effect, of.as_ref());
            }
            self.relieve();
        }
    }

    /// After each effect, as in the room's shell.
    fn relieve(&mut self) {
        for shard in self.links.overflown() {
            self.room.lag(shard, self.now);
        }
        for connection in self.links.skipped() {
            let effects = self.room.postpone(connection, self.now);
            self.perform(effects);
        }
    }

    /// An effect on the sockets of one object.
    fn at(&mut self, shard: u32, effect: Effect, of: Option<&Peer>) {
        match effect {
            Effect::Send { to, text } => self.deliver(to, shard, &text),
            Effect::Broadcast { to, text } => {
                let heard =
                    self.sockets.iter().filter(|(connection, socket)| socket.shard == shard && to.has(**connection));
                let heard: Vec<_> = heard.map(|(connection, _)| *connection).collect();
                for connection in heard {
                    self.deliver(connection, shard, &text);
                }
            }
            Effect::Save { of: connection } => {
                if let (Some(socket), Some(peer)) = (self.sockets.get_mut(&connection), of) {
                    socket.attached = peer.to_attachment();
                }
            }
            Effect::Close { connection, .. } | Effect::Forget { connection } => {
                self.sockets.remove(&connection);
            }
        }
    }

    /// Everybody reads at once.
    fn deliver(&mut self, to: Connection, shard: u32, text: &str) {
        if let Some(ack) = answer(text) {
            return self.say(to, shard, &ack);
        }
        if let Some(socket) = self.sockets.get_mut(&to) {
            assert!(
                socket.is_greeted || text.contains("\"kind\":\"hello\"") || text.contains("\"kind\":\"error\""),
                "{text}"
            );
            socket.is_greeted = true;
            hear(&mut socket.known, text);
        }
    }

    pub(super) fn say(&mut self, from: Connection, shard: u32, text: &str) {
        let now = self.now;
        if shard == 0 {
            let effects = self.room.frame(from, text, now);
            return self.perform(effects);
        }
        let effects = self.shards.get_mut(&shard).expect("a shard").frame(from, text, now);
        self.in_shard(shard, effects);
    }

    fn in_shard(&mut self, shard: u32, effects: Vec<Effect>) {
        for effect in effects {
            let of = if let Effect::Save { of } = &effect { self.shards[&shard].peer(*of).cloned() } else { None };
            self.at(shard, effect, of.as_ref());
        }
    }

    pub(super) fn join(&mut self, client: u8) {
        let identity = identity(client, u64::MAX);
        match self.room.seat_for(&identity, &self.links.down(), self.now) {
            Ok(Seating::Here) => {
                let Ok((connection, effects)) = self.room.join(identity, self.now) else { return };
                self.accept(connection, client, 0);
                self.perform(effects);
            }
            Ok(Seating::Shard { shard, connection }) => {
                self.links.open(shard);
                self.sent.insert(identity.client_id.as_str().to_owned(), connection);
                self.arriving.push((identity, shard, connection));
            }
            Err(_) => {}
        }
    }

    fn accept(&mut self, connection: Connection, client: u8, shard: u32) {
        let client = format!("c{client}");
        self.sockets.insert(
            connection,
            Socket { client, shard, attached: String::new(), known: Known::new(), is_greeted: false },
        );
    }

    pub(super) fn arrive(&mut self, comes: bool) {
        let Some((identity, shard, connection)) = self.arriving.pop() else { return };
        if !comes {
            return;
        }
        let client = identity.client_id.as_str().trim_start_matches('c').parse().expect("a number");
        let there = self.shards.get_mut(&shard).expect("a shard");
        if there.open(identity, shard, connection, self.now) {
            self.accept(connection, client, shard);
            self.in_shard(shard, vec![Effect::Save { of: connection }]);
        } else {
            self.refused(client, shard, connection);
        }
    }

    /// An object that holds twice as many as it may: the room has ended some of them, or woke without this shard and lost
    /// count. Who is refused comes again, and is sent elsewhere if this is where the room sent him last, as far as it knows.
    fn refused(&mut self, client: u8, by: u32, connection: Connection) {
        let (before, is_last) = (self.arriving.len(), self.sent.get(&format!("c{client}")) == Some(&connection));
        self.join(client);
        let is_sent_back = self.arriving.iter().skip(before).any(|(_, shard, _)| *shard == by);
        assert!(!is_last || !is_sent_back, "not there again");
    }

    pub(super) fn close(&mut self, connection: Connection) {
        let Some(Socket { shard, .. }) = self.sockets.remove(&connection) else { return };
        if shard == 0 {
            let effects = self.room.closed(connection);
            self.perform(effects);
        } else {
            self.shards.get_mut(&shard).expect("a shard").closed(connection);
        }
    }

    /// A report, if one is due.
    pub(super) fn up(&mut self, shard: u32, fate: Fate) {
        let now = self.now;
        let sender = self.shards.get_mut(&shard).expect("a shard");
        if sender.report_ms().is_none_or(|due| due > now) {
            return;
        }
        let (report, effects) = sender.report(now);
        self.in_shard(shard, effects);
        let Some(report) = report else { return };
        match fate {
            Fate::Answered | Fate::AnswerLost => self.hear(report.clone()),
            Fate::Late => self.late_reports.push(report.clone()),
            Fate::Lost => {}
        }
        let sender = self.shards.get_mut(&shard).expect("a shard");
        match fate {
            Fate::Answered => sender.answered(report, self.links.heard(shard), now),
            Fate::AnswerLost | Fate::Late | Fate::Lost => {
                sender.failed(report, now);
            }
        }
    }

    fn hear(&mut self, report: Report) {
        let (shard, heard) = (report.shard, self.links.hear(&report));
        if heard.is_news {
            let effects = self.room.hear(report, self.now);
            self.perform(effects);
            self.lag_if_down(shard);
        }
        if heard.is_restarted {
            self.roll(shard);
            self.links.restarted(shard);
        }
    }

    /// Orders, if some are due.
    pub(super) fn down(&mut self, shard: u32, fate: Fate) {
        let ready = self.links.ready(self.now);
        for (to, orders) in ready {
            let fate = if to == shard { fate } else { Fate::Answered };
            self.send_down(to, orders, fate);
        }
    }

    fn send_down(&mut self, shard: u32, orders: Orders, fate: Fate) {
        match fate {
            Fate::Answered | Fate::AnswerLost => self.obey(shard, orders),
            Fate::Late => self.late_orders.push((shard, orders)),
            Fate::Lost => {}
        }
        if fate != Fate::Answered {
            self.links.failed(shard, self.now);
            return self.room.lag(shard, self.now);
        }
        let was_down = self.links.is_down(shard);
        if self.links.answered(shard, self.shards[&shard].obeyed(), self.now) {
            let effects = self.room.catch_up(shard, BYTES, self.now);
            if effects.is_empty() {
                self.links.caught_up(shard);
            }
            self.perform(effects);
        }
        if was_down && !self.links.is_down(shard) && self.room.is_unheard(shard) {
            self.roll(shard);
            self.links.restarted(shard);
        }
    }

    fn obey(&mut self, shard: u32, orders: Orders) {
        let effects = self.shards.get_mut(&shard).expect("a shard").obey(orders);
        self.in_shard(shard, effects);
    }

    pub(super) fn later(&mut self) {
        for report in std::mem::take(&mut self.late_reports) {
            self.hear(report);
        }
        for (shard, orders) in std::mem::take(&mut self.late_orders) {
            self.obey(shard, orders);
        }
    }

    fn rolled(&mut self, shard: u32) -> Report {
        let asked = self.shards.get_mut(&shard).expect("a shard");
        let mut all = asked.roll(None);
        while let Some(last) = all.last() {
            let more = asked.roll(Some(last.connection));
            if more.is_empty() {
                break;
            }
            all.extend(more);
        }
        Report { peers: all, ..asked.unsaid() }
    }

    fn roll(&mut self, shard: u32) {
        self.crashed.remove(&shard);
        let asked = self.room.asks(shard);
        let rolled = self.rolled(shard);
        self.links.rolled(shard, &rolled);
        let effects = self.room.roll(shard, rolled, &asked, self.now);
        self.perform(effects);
        self.lag_if_down(shard);
    }

    fn lag_if_down(&mut self, shard: u32) {
        if self.links.is_down(shard) {
            self.room.lag(shard, self.now);
        }
    }

    fn attached(&self, shard: u32) -> Vec<Peer> {
        let there = self.sockets.values().filter(|socket| socket.shard == shard);
        there.map(|socket| Peer::from_attachment(&socket.attached).expect("an attachment")).collect()
    }

    /// A shard may wake at any time: what it had to say is said anew, or asked for. A call that is under way to an object ends
    /// with it, so what its room has given up and told anew does not come after that.
    pub(super) fn shard_wakes(&mut self, shard: u32) {
        self.late_orders.retain(|(to, _)| *to != shard);
        if self.shards[&shard].report_ms().is_some() {
            self.crashed.insert(shard);
        }
        // Who was not greeted yet is greeted all the same, if not first of all.
        for socket in self.sockets.values_mut().filter(|socket| socket.shard == shard) {
            socket.is_greeted = true;
        }
        let awake = Shard::restore(SETTINGS, self.attached(shard), self.now);
        self.shards.insert(shard, awake);
    }

    /// A room with something to tell stays awake, and asks a shard that has crashed who sits there.
    pub(super) fn room_wakes(&mut self, without: u32) {
        let is_idle = self.room.flush_ms().is_none() && self.links.due_ms().is_none();
        if !is_idle || !self.crashed.is_empty() {
            return;
        }
        let shards: Vec<u32> = self.links.shards().collect();
        self.sent.clear();
        self.room = Room::restore(SETTINGS, self.attached(0), self.now);
        self.links = Links::with_most(QUEUED, SENT, CARRIED, self.now);
        self.room.awaits(shards.iter().copied());
        for shard in shards {
            self.links.open(shard);
            if shard == without {
                self.links.failed(shard, self.now);
            } else {
                self.roll(shard);
            }
        }
        let effects = self.room.goes_on(self.now);
        self.perform(effects);
    }

    pub(super) fn flush(&mut self) {
        if self.room.flush_ms().is_some_and(|at| at <= self.now) {
            let effects = self.room.flush(self.now);
            self.perform(effects);
        }
    }

    /// What is under way arrives, and everybody is asked who is there.
    pub(super) fn settle(&mut self) {
        self.later();
        for round in 0..200 {
            self.now += 100;
            for shard in 1..3 {
                self.up(shard, Fate::Answered);
                if round % 50 == 0 && self.links.shards().any(|known| known == shard) {
                    self.roll(shard);
                }
            }
            self.flush();
            self.down(0, Fate::Answered);
        }
        assert!(self.links.due_ms().is_none() && self.room.flush_ms().is_none(), "it never ends");
    }
}
