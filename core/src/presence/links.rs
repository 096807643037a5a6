//! What a room has its shards do, and whether they do it.
//!
//! In scope: which socket sits where; orders in their order, one message a shard at a time; shards that do not answer. Out of
//! scope: sending. A shard that does not answer costs nothing but its closes: the room takes its sockets for readers that
//! have fallen behind, and tells them everything anew when the shard answers again.

use std::collections::BTreeMap;

use super::{Audience, Connection, Effect, Order, Orders, Peer, Report};

/// A shard that has so many bytes to be sent is too slow: they are dropped, and it is told anew.
const MOST_QUEUED: usize = 8 * 1024 * 1024;

/// So many bytes may wait for single sockets of a shard. Of everything that one is told anew the first is sent whole,
/// however much it is: whoever comes after it falls behind, and is told when that has been taken.
const MOST_SENT: usize = MOST_QUEUED;

/// A shard that did not answer is tried again after so long, in milliseconds.
const RETRY_MS: u64 = 500;

/// The shards of one room.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// When the room woke.
    since: u64,
    /// The most bytes that wait for all of a shard, and for single sockets there.
    most: (usize, usize),
    all: Vec<Link>,
    /// The sockets that are elsewhere.
    away: BTreeMap<Connection, u32>,
}

#[derive(Clone, Debug, Default)]
struct Link {
    shard: u32,
    queue: Vec<Order>,
    /// How many bytes wait, without those for single sockets; and those.
    bytes: usize,
    sent: usize,
    /// Sockets that were not sent what was for them.
    skipped: Vec<Connection>,
    number: u64,
    /// The number of the last message that was answered.
    done: u64,
    /// The closes of the message that is under way: they alone must not get lost.
    flying: Option<Vec<Order>>,
    state: Health,
    /// The last report heard.
    heard: (u64, u64),
}

/// Whether a shard does what it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Health {
    #[default]
    Up,
    /// It has answered after a while, and those there are told anew.
    CatchingUp,
    /// It is tried again at this time.
    Down { retry_ms: u64 },
}

impl Links {
    /// No shard yet.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self::with_most(MOST_QUEUED, MOST_SENT, now_ms)
    }

    /// No shard yet, and so many bytes that may wait for all of a shard, and for single sockets there.
    #[must_use]
    pub fn with_most(queued: usize, sent: usize, now_ms: u64) -> Self {
        Self { since: now_ms, most: (queued, sent), ..Self::default() }
    }

    /// Whether the room is in one object.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The shards.
    pub fn shards(&self) -> impl Iterator<Item = u32> {
        self.all.iter().map(|link| link.shard)
    }

    /// Those that do not answer.
    #[must_use]
    pub fn down(&self) -> Vec<u32> {
        self.all.iter().filter(|link| link.is_down()).map(|link| link.shard).collect()
    }

    /// Whether a shard does not answer: whoever arrives there is behind from the start.
    #[must_use]
    pub fn is_down(&self, shard: u32) -> bool {
        self.get(shard).is_some_and(Link::is_down)
    }

    /// Whether a shard has nothing more to do: of one that does not answer, whether it owes no close.
    #[must_use]
    pub fn is_idle(&self, shard: u32) -> bool {
        self.get(shard).is_none_or(|link| link.flying.is_none() && link.queue.is_empty())
    }

    /// How many sockets are elsewhere.
    #[must_use]
    pub fn count(&self) -> usize {
        self.away.len()
    }

    /// A new shard, or a known one.
    pub fn open(&mut self, shard: u32) {
        if self.get(shard).is_none() {
            self.all.push(Link { shard, ..Link::default() });
        }
    }

    /// A shard that is empty.
    pub fn close(&mut self, shard: u32) {
        self.all.retain(|link| link.shard != shard);
        self.away.retain(|_, there| *there != shard);
    }

    /// A shard has spoken of these sockets. Whether the report is to be heard: none that a later one has overtaken. And
    /// whether the shard has been restarted since its last.
    pub fn hear(&mut self, report: &Report) -> Heard {
        self.open(report.shard);
        let Some(link) = self.get_mut(report.shard) else { return Heard::default() };
        let (before, now) = (link.heard, (report.since, report.number));
        if now <= before {
            return Heard::default();
        }
        link.heard = now;
        self.seat(report.shard, &report.peers);
        Heard { is_news: true, is_restarted: before.0 != 0 && before.0 != now.0 }
    }

    /// When the shard woke whose report was heard last.
    #[must_use]
    pub fn heard(&self, shard: u32) -> u64 {
        self.get(shard).map_or(0, |link| link.heard.0)
    }

    /// A shard was asked who sits there. Since when it is awake is known from now on, so that its next restart is noticed;
    /// a report that is under way is still to be heard.
    pub fn rolled(&mut self, shard: u32, rolled: &Report) {
        self.seat(shard, &rolled.peers);
        if let Some(link) = self.get_mut(shard).filter(|link| link.heard.0 == 0) {
            link.heard = (rolled.since, 0);
        }
    }

    /// These sockets are there.
    fn seat(&mut self, shard: u32, peers: &[Peer]) {
        self.open(shard);
        self.away.extend(peers.iter().map(|peer| (peer.connection, shard)));
    }

    /// Takes the part of an effect that is for shards; whether all of it was. `peer` is whose it is.
    pub fn take(&mut self, effect: &Effect, peer: Option<&Peer>) -> bool {
        let one = match effect {
            Effect::Broadcast { to, text } => {
                self.broadcast(to, text);
                return false;
            }
            Effect::Send { to, .. } | Effect::Save { of: to } => to,
            Effect::Close { connection, .. } | Effect::Forget { connection } => connection,
        };
        let Some(shard) = self.away.get(one).copied() else { return false };
        let order = match effect {
            Effect::Send { to, text } => Some(Order::Send { to: *to, text: text.clone() }),
            Effect::Save { .. } => peer.map(|peer| Order::Keep { peer: peer.to_attachment() }),
            Effect::Close { connection, code, reason } => {
                Some(Order::Close { connection: *connection, code: *code, reason: reason.clone().into_owned() })
            }
            Effect::Broadcast { .. } | Effect::Forget { .. } => None,
        };
        if matches!(effect, Effect::Close { .. } | Effect::Forget { .. }) {
            self.away.remove(one);
        }
        let most_sent = self.most.1;
        if let (Some(order), Some(link)) = (order, self.get_mut(shard)) {
            link.push_within(order, most_sent);
        }
        true
    }

    /// What is to be sent now, at most one message a shard. Each wants [`Links::answered`] or [`Links::failed`].
    pub fn ready(&mut self, now_ms: u64) -> Vec<(u32, Orders)> {
        let since = self.since;
        let ready = self.all.iter_mut().filter(|link| link.is_ready(now_ms));
        ready.map(|link| (link.shard, link.fly(since))).collect()
    }

    /// When to ask again for what is ready, in milliseconds since 1970: what waits for an answer is not counted.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let due = self.all.iter().filter(|link| link.flying.is_none()).filter_map(|link| match link.state {
            Health::Down { retry_ms } => Some(retry_ms),
            Health::CatchingUp => Some(0),
            Health::Up => (!link.queue.is_empty()).then_some(0),
        });
        due.min()
    }

    /// The message by which each shard has been told everything that is to be said now.
    #[must_use]
    pub fn marks(&self) -> Vec<(u32, u64)> {
        let mark = |link: &Link| link.number.saturating_add(u64::from(!link.queue.is_empty()));
        self.all.iter().map(|link| (link.shard, mark(link))).collect()
    }

    /// Whether every shard that answers has done what it was told by these messages.
    #[must_use]
    pub fn is_done(&self, marks: &[(u32, u64)]) -> bool {
        let is_behind =
            |shard: &u32, mark: u64| self.get(*shard).is_some_and(|link| !link.is_down() && link.done < mark);
        !marks.iter().any(|(shard, mark)| is_behind(shard, *mark))
    }

    /// A shard has answered: `since` is when the room woke whose orders it carried out last. If that is a later one, whose
    /// clock was ahead, the orders were not carried out, and the next are to come after it. Whether those there are to be
    /// told anew, as far as that is not done.
    pub fn answered(&mut self, shard: u32, since: u64, now_ms: u64) -> bool {
        if since > self.since {
            self.since = since.saturating_add(1);
            self.failed(shard, now_ms);
            return false;
        }
        let Some(link) = self.get_mut(shard) else { return false };
        (link.flying, link.done) = (None, link.number);
        if link.is_down() {
            link.state = Health::CatchingUp;
        }
        link.state == Health::CatchingUp
    }

    /// The shard was restarted: answers of its sockets may be lost, so whoever is behind there is told anew.
    pub fn restarted(&mut self, shard: u32) {
        if let Some(link) = self.get_mut(shard).filter(|link| !link.is_down()) {
            link.state = Health::CatchingUp;
        }
    }

    /// Everybody there has been told.
    pub fn caught_up(&mut self, shard: u32) {
        if let Some(link) = self.get_mut(shard) {
            link.state = Health::Up;
        }
    }

    /// The shard did not answer; nobody knows what it has done.
    pub fn failed(&mut self, shard: u32, now_ms: u64) {
        if let Some(link) = self.get_mut(shard) {
            let closes = link.flying.take().unwrap_or_default();
            link.queue.splice(0..0, closes);
            link.drop_frames();
            link.state = Health::Down { retry_ms: now_ms.saturating_add(RETRY_MS) };
        }
    }

    /// Shards that are too slow for what they are to be sent: they count as failed.
    pub fn overflown(&mut self) -> Vec<u32> {
        let most = self.most.0;
        let over = self.all.iter_mut().filter(|link| link.bytes > most && !link.is_down());
        over.map(|link| {
            link.drop_frames();
            link.state = Health::Down { retry_ms: 0 };
            link.shard
        })
        .collect()
    }

    /// Sockets that were not sent what was for them, since more than enough waits for others: they are behind, and told anew
    /// when their shard has taken that.
    pub fn skipped(&mut self) -> Vec<Connection> {
        let skipping = self.all.iter_mut().filter(|link| !link.skipped.is_empty());
        skipping.flat_map(Link::skipped).collect()
    }

    fn get(&self, shard: u32) -> Option<&Link> {
        self.all.iter().find(|link| link.shard == shard)
    }

    fn get_mut(&mut self, shard: u32) -> Option<&mut Link> {
        self.all.iter_mut().find(|link| link.shard == shard)
    }

    fn broadcast(&mut self, to: &Audience, text: &str) {
        for link in self.all.iter_mut().filter(|link| !link.is_down()) {
            if self.away.values().all(|there| *there != link.shard) {
                continue;
            }
            let sits_there = |connection: &Connection| self.away.get(connection) == Some(&link.shard);
            let to = match to {
                Audience::AllBut(others) => Audience::AllBut(others.iter().copied().filter(sits_there).collect()),
                Audience::Only(these) => Audience::Only(these.iter().copied().filter(sits_there).collect()),
            };
            if to != Audience::Only(Vec::new()) {
                link.push(Order::Broadcast { to, text: text.to_owned() });
            }
        }
    }
}

/// What a report is to the links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// It is to be heard.
    pub is_news: bool,
    /// The shard forgot what it had to say: it is to be asked who sits there.
    pub is_restarted: bool,
}

impl Link {
    fn is_down(&self) -> bool {
        matches!(self.state, Health::Down { .. })
    }

    fn is_ready(&self, now_ms: u64) -> bool {
        let due = match self.state {
            Health::Down { retry_ms } => retry_ms <= now_ms,
            Health::CatchingUp => true,
            Health::Up => !self.queue.is_empty(),
        };
        due && self.flying.is_none()
    }

    /// Queues what is for one socket, unless more than so much waits and it is not the rest of what that socket is told.
    fn push_within(&mut self, order: Order, most_sent: usize) {
        let Order::Send { to, .. } = order else { return self.push(order) };
        let goes_on = matches!(self.queue.last(), Some(Order::Send { to: last, .. }) if *last == to);
        if goes_on || self.sent <= most_sent || self.is_down() {
            self.push(order);
        } else {
            self.skipped.push(to);
        }
    }

    fn push(&mut self, order: Order) {
        if self.is_down() && !is_close(&order) {
            return;
        }
        let bytes = if matches!(order, Order::Send { .. }) { &mut self.sent } else { &mut self.bytes };
        *bytes = bytes.saturating_add(order.bytes());
        self.queue.push(order);
    }

    fn skipped(&mut self) -> Vec<Connection> {
        if self.state == Health::Up {
            self.state = Health::CatchingUp;
        }
        std::mem::take(&mut self.skipped)
    }

    fn fly(&mut self, since: u64) -> Orders {
        self.number = self.number.saturating_add(1);
        (self.bytes, self.sent) = (0, 0);
        let orders = std::mem::take(&mut self.queue);
        self.flying = Some(orders.iter().filter(|order| is_close(order)).cloned().collect());
        Orders { since, number: self.number, orders }
    }

    fn drop_frames(&mut self) {
        self.queue.retain(is_close);
        (self.bytes, self.sent) = (0, 0);
    }
}

fn is_close(order: &Order) -> bool {
    matches!(order, Order::Close { .. })
}

#[cfg(test)]
mod tests;
