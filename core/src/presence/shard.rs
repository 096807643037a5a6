//! A shard: sockets of a room that is too large for one object.
//!
//! In scope: hearing these sockets, keeping what each shows, reporting what has changed, doing what the room orders. Out of
//! scope: everything about the room. A shard does not know who else is there; what it sends it was given as text.

mod attachments;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use super::effect::turn_out;
use super::rate::{Held, Pace, Rate};
use super::{
    Audience, ClientFrame, Connection, Effect, Gone, Identity, PAGE, PING, PONG, Peer, Places, Settings, Shown, close,
};
pub use wire::{Order, Orders, Report};

/// A room that did not answer is told again after so long, in milliseconds.
const RETRY_MS: u64 = 500;

#[derive(Clone, Debug)]
struct Seat {
    peer: Peer,
    rate: Rate,
    held: Held,
}

/// What is to be reported, and whose states wait.
#[derive(Clone, Debug, Default)]
struct News {
    moved: BTreeSet<Connection>,
    /// Those of the report that is under way.
    telling: BTreeSet<Connection>,
    holding: BTreeSet<Connection>,
    /// The rest, as it will be said.
    said: Report,
}

/// The sockets of a shard.
#[derive(Clone, Debug, Default)]
pub struct Shard {
    /// Its number in its room, as its sockets know it.
    number: u32,
    seats: BTreeMap<Connection, Seat>,
    /// Those the room has not greeted yet: the first frame is theirs alone.
    waiting: BTreeSet<Connection>,
    news: News,
    settings: Settings,
    since: u64,
    reported: u64,
    reported_ms: u64,
    is_reporting: bool,
    /// The room has not answered since that was said.
    is_unheard: bool,
    /// The last orders carried out.
    obeyed: (u64, u64),
}

impl Shard {
    /// The shard as its sockets remember it. Whoever has just spoken is reported again: a crash may have come between.
    #[must_use]
    pub fn restore(settings: Settings, peers: impl IntoIterator<Item = Peer>, now_ms: u64) -> Self {
        let mut shard = Self { settings, since: now_ms, ..Self::default() };
        for peer in peers {
            if peer.is_recent(now_ms) {
                shard.news.moved.insert(peer.connection);
            }
            shard.seat(peer);
        }
        shard
    }

    /// A socket that the room has sent here, under the number the room gave it. False if there are twice as many sockets
    /// as one object may hold: the room counts them, so it has lost count.
    pub fn open(&mut self, identity: Identity, shard: u32, connection: Connection, now_ms: u64) -> bool {
        if self.seats.len() >= self.settings.max_peers.saturating_mul(2) {
            return false;
        }
        self.seat(Peer { connection, shard, ..Peer::new(identity, now_ms) });
        self.news.moved.insert(connection);
        self.waiting.insert(connection);
        true
    }

    /// A text frame came. A bad one closes its sender.
    pub fn frame(&mut self, connection: Connection, text: &str, now_ms: u64) -> Vec<Effect> {
        let settings = self.settings;
        let Some(seat) = self.seats.get_mut(&connection) else {
            return vec![Effect::Close { connection, code: close::RESTART, reason: "unknown connection".into() }];
        };
        seat.peer.seen_at_ms = seat.peer.seen_at_ms.max(now_ms);
        let pace = seat.rate.hear(&settings, now_ms);
        if pace == Pace::TooFast {
            return self.end(connection, close::FLOOD);
        }
        if text == PING {
            return vec![Effect::Send { to: connection, text: PONG.to_owned() }];
        }
        match ClientFrame::parse(text) {
            Ok(ClientFrame::Update { clock, shown }) if pace == Pace::Now => self.update(connection, clock, shown),
            Ok(ClientFrame::Update { clock, shown }) => self.hold(connection, clock, shown),
            Ok(ClientFrame::Subscribe { to }) => self.subscribe(connection, to),
            Ok(ClientFrame::Ack { n }) => {
                self.news.said.acks.insert(connection, Some(n));
                Vec::new()
            }
            Ok(ClientFrame::Unknown) => Vec::new(),
            Err(error) => self.end(connection, error.close()),
        }
    }

    /// A binary frame came.
    pub fn binary(&mut self, connection: Connection) -> Vec<Effect> {
        self.end(connection, close::BINARY)
    }

    /// The socket is closed, or broken.
    pub fn closed(&mut self, connection: Connection) -> Vec<Effect> {
        self.leave(connection);
        vec![Effect::Forget { connection }]
    }

    /// A sign of life that woke nobody. The room hears of it when it asks.
    pub fn seen(&mut self, connection: Connection, at_ms: u64) {
        if let Some(seat) = self.seats.get_mut(&connection) {
            seat.peer.seen_at_ms = seat.peer.seen_at_ms.max(at_ms);
        }
    }

    /// When to call [`Shard::report`], in milliseconds since 1970; `None` while there is nothing to say, or a report is
    /// under way.
    #[must_use]
    pub fn report_ms(&self) -> Option<u64> {
        let News { moved, holding, said, .. } = &self.news;
        let idle = moved.is_empty() && holding.is_empty() && said.is_empty();
        // Never at once: states that wait are looked at anew each time.
        let due_ms = self.reported_ms.saturating_add(self.settings.tick_of(self.seats.len()).max(1));
        (!idle && !self.is_reporting).then_some(due_ms)
    }

    /// What is to be reported, and what else is to be done; no report where states wait and nothing else.
    pub fn report(&mut self, now_ms: u64) -> (Option<Report>, Vec<Effect>) {
        self.reported_ms = now_ms;
        let effects = self.release(now_ms);
        let peers = self.next_moved();
        let said = Report { peers, ..std::mem::take(&mut self.news.said) };
        if said.is_empty() {
            return (None, effects);
        }
        self.is_reporting = true;
        self.news.telling = said.peers.iter().map(|peer| peer.connection).collect();
        self.reported = self.reported.saturating_add(1);
        let report = Report { shard: self.number, since: self.since, number: self.reported, ..said };
        (Some(report), effects)
    }

    /// The room has answered: `since` is when the shard woke that it heard last. If that is a later one, whose clock was
    /// ahead, the report was not heard, and the next are to come after it.
    pub fn answered(&mut self, report: Report, since: u64, now_ms: u64) {
        (self.is_reporting, self.is_unheard) = (false, false);
        self.news.telling.clear();
        if since > self.since {
            self.since = since.saturating_add(1);
            self.say_again(report, now_ms);
        }
    }

    /// The report got no answer: what it said is said again after a while. Whether that is news.
    pub fn failed(&mut self, report: Report, now_ms: u64) -> bool {
        self.say_again(report, now_ms);
        !std::mem::replace(&mut self.is_unheard, true)
    }

    fn say_again(&mut self, report: Report, now_ms: u64) {
        self.is_reporting = false;
        self.news.telling.clear();
        self.reported_ms = now_ms.saturating_add(RETRY_MS);
        let Report { peers, asks, acks, ended, .. } = report;
        self.news.moved.extend(peers.iter().map(|peer| peer.connection));
        self.news.said.asks.extend(asks);
        // What was said since is of a later question.
        let later = std::mem::replace(&mut self.news.said.acks, acks);
        self.news.said.acks.extend(later);
        self.news.said.ended.extend(ended);
    }

    /// What the room has this shard do; nothing, if later orders have come before.
    pub fn obey(&mut self, orders: Orders) -> Vec<Effect> {
        let Orders { since, number, orders } = orders;
        if (since, number) <= self.obeyed {
            return Vec::new();
        }
        self.obeyed = (since, number);
        orders.into_iter().filter_map(|order| self.carry_out(order)).collect()
    }

    /// When the room woke whose orders were carried out last.
    #[must_use]
    pub fn obeyed(&self) -> u64 {
        self.obeyed.0
    }

    /// A page of the sockets, by number, after the one named. A room that asks may be another than the one that was to
    /// greet the newest: they ask for it. They have read all that they were sent, which is nothing: questions of the room
    /// were kept from them too.
    pub fn roll(&mut self, after: Option<Connection>) -> Vec<Peer> {
        self.news.said.asks.extend(&self.waiting);
        self.news.said.acks.extend(self.waiting.iter().map(|connection| (*connection, None)));
        let later = self.seats.range(after.map_or(Connection(0), |after| Connection(after.0.saturating_add(1)))..);
        later.take(PAGE).map(|(_, seat)| seat.peer.clone()).collect()
    }

    /// What else is still to be reported: whoever asks who is here hears of it at once, for a crash may come before the
    /// report. Whose states are among it he has to be told: of those whom he sees for the first time he cannot know who has
    /// been told to others.
    #[must_use]
    pub fn unsaid(&self) -> Report {
        let moved = &self.news.moved | &self.news.telling;
        Report { since: self.since, moved, ..self.news.said.clone() }
    }

    /// The peer of a socket.
    #[must_use]
    pub fn peer(&self, connection: Connection) -> Option<&Peer> {
        self.seats.get(&connection).map(|seat| &seat.peer)
    }

    fn seat(&mut self, peer: Peer) {
        self.number = peer.shard;
        self.seats.insert(peer.connection, Seat { peer, rate: Rate::default(), held: Held::default() });
    }

    fn update(&mut self, connection: Connection, clock: u64, shown: Shown) -> Vec<Effect> {
        let is_newer = self.seats.get_mut(&connection).and_then(|seat| seat.peer.show(clock, shown)).is_some();
        if !is_newer {
            return Vec::new();
        }
        self.news.moved.insert(connection);
        vec![Effect::Save { of: connection }]
    }

    fn hold(&mut self, connection: Connection, clock: u64, shown: Shown) -> Vec<Effect> {
        if self.seats.get_mut(&connection).is_some_and(|seat| seat.held.keep(clock, shown)) {
            self.news.holding.insert(connection);
        }
        Vec::new()
    }

    fn release(&mut self, now_ms: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        for connection in std::mem::take(&mut self.news.holding) {
            let settings = self.settings;
            let Some(seat) = self.seats.get_mut(&connection) else { continue };
            if !seat.rate.allow(&settings, now_ms) {
                self.news.holding.insert(connection);
            } else if let Some((clock, shown)) = seat.held.take() {
                effects.extend(self.update(connection, clock, shown));
            }
        }
        effects
    }

    fn subscribe(&mut self, connection: Connection, to: Option<Places>) -> Vec<Effect> {
        let Some(seat) = self.seats.get_mut(&connection) else { return Vec::new() };
        seat.peer.hears = to;
        self.news.moved.insert(connection);
        self.news.said.asks.insert(connection);
        vec![Effect::Save { of: connection }]
    }

    fn end(&mut self, connection: Connection, (code, reason): (u16, &'static str)) -> Vec<Effect> {
        self.leave(connection);
        turn_out(connection, code, reason)
    }

    fn leave(&mut self, connection: Connection) {
        self.waiting.remove(&connection);
        if let Some(Seat { peer, .. }) = self.seats.remove(&connection) {
            let gone = Gone { client_id: peer.identity.client_id, clock: peer.clock };
            self.news.said.ended.push((connection, gone));
        }
    }

    /// The next page of those who have moved and are still here.
    fn next_moved(&mut self) -> Vec<Peer> {
        let mut peers = Vec::new();
        while peers.len() < PAGE {
            let Some(connection) = self.news.moved.pop_first() else { break };
            peers.extend(self.peer(connection).cloned());
        }
        peers
    }

    fn carry_out(&mut self, order: Order) -> Option<Effect> {
        match order {
            Order::Send { to, text } => Some(Effect::Send { to, text }),
            Order::Broadcast { to, text } => Some(Effect::Broadcast { to: self.greeted(to), text }),
            Order::Keep { peer } => self.keep(&Peer::from_attachment(&peer)?),
            Order::Close { connection, code, reason } => {
                // The room that ordered it may have forgotten so before a late report of this socket comes.
                self.leave(connection);
                Some(Effect::Close { connection, code, reason: reason.into() })
            }
        }
    }

    fn greeted(&self, to: Audience) -> Audience {
        match to {
            Audience::AllBut(others) => Audience::AllBut(&others | &self.waiting),
            Audience::Only(mut these) => {
                these.retain(|connection| !self.waiting.contains(connection));
                Audience::Only(these)
            }
        }
    }

    /// What is taken over is reported: the room that ordered it may have crashed since, and not know it any more.
    fn keep(&mut self, ordered: &Peer) -> Option<Effect> {
        self.waiting.remove(&ordered.connection);
        let peer = &mut self.seats.get_mut(&ordered.connection)?.peer;
        (peer.behind_ms, peer.asked) = (ordered.behind_ms, ordered.asked);
        if peer.inherit(ordered) {
            self.news.moved.insert(ordered.connection);
        }
        Some(Effect::Save { of: ordered.connection })
    }
}

#[cfg(test)]
mod tests;
