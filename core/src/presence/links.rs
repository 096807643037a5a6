//! What a room has its shards do, and whether they do it.
//!
//! In scope: which socket sits where; orders in their order, one message a shard at a time; shards that do not answer. Out of
//! scope: sending. A shard that does not answer costs nothing but its closes: the room takes its sockets for readers that
//! have fallen behind, and tells them everything anew when the shard answers again.

mod link;
mod queue;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Audience, Connection, Effect, Order, Orders, Peer, Report};
use link::{Health, Link};
use queue::Frame;

/// So many bytes may wait in a room for all its shards together, a frame for several of them counted once: with
/// [`MOST_SENT`] an eighth of the 128 MiB of an isolate. Above, a shard is too slow: what waits for it is dropped, and it is
/// told anew.
const MOST_QUEUED: usize = 12 * 1024 * 1024;

/// So many bytes may wait in a room for single sockets of shards: less, for whoever has to wait loses nothing. Of everything
/// that is told anew in a shard the first socket's is sent whole, however much it is: whoever comes after it falls behind, and
/// is told when that has been taken.
const MOST_SENT: usize = 4 * 1024 * 1024;

/// One message carries so many bytes, or one frame more; the rest goes with the next. What everybody in a full room shows is
/// 40 MiB at the most: at once it would be in memory three times, written out for the way, and too late when it arrives.
const MOST_CARRIED: usize = 1024 * 1024;

/// A shard that did not answer is tried again after so long, in milliseconds.
const RETRY_MS: u64 = 500;

/// The shards of one room.
#[derive(Debug, Default)]
pub struct Links {
    /// When the room woke.
    since: u64,
    most: Most,
    /// How many bytes of frames wait, each counted once.
    held: Rc<Cell<usize>>,
    all: Vec<Link>,
    /// The sockets that are elsewhere.
    away: BTreeMap<Connection, u32>,
}

/// How many bytes there may be at the most.
#[derive(Clone, Copy, Debug, Default)]
struct Most {
    queued: usize,
    sent: usize,
    carried: usize,
}

impl Links {
    /// No shard yet.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self::with_most(MOST_QUEUED, MOST_SENT, MOST_CARRIED, now_ms)
    }

    /// No shard yet, and so many bytes that may wait for all of them, that may wait for single sockets there, and that one
    /// message carries.
    #[must_use]
    pub fn with_most(queued: usize, sent: usize, carried: usize, now_ms: u64) -> Self {
        Self { since: now_ms, most: Most { queued, sent, carried }, ..Self::default() }
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
        let is_full = self.sent() > self.most.sent;
        if let (Some(order), Some(link)) = (order, self.get_mut(shard)) {
            link.push_unless(is_full, order);
        }
        true
    }

    /// What is to be sent now, at most one message a shard. Each wants [`Links::answered`] or [`Links::failed`].
    pub fn ready(&mut self, now_ms: u64) -> Vec<(u32, Orders)> {
        let (since, most) = (self.since, self.most.carried);
        let ready = self.all.iter_mut().filter(|link| link.is_ready(now_ms));
        ready.map(|link| (link.shard, link.fly(since, most))).collect()
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

    /// How many orders each shard has been given so far.
    #[must_use]
    pub fn marks(&self) -> Vec<(u32, u64)> {
        self.all.iter().map(|link| (link.shard, link.queue.counts().0)).collect()
    }

    /// Whether every shard that answers has done so many of its orders.
    #[must_use]
    pub fn is_done(&self, marks: &[(u32, u64)]) -> bool {
        let is_behind =
            |shard: &u32, mark: u64| self.get(*shard).is_some_and(|link| !link.is_down() && link.done < mark);
        !marks.iter().any(|(shard, mark)| is_behind(shard, *mark))
    }

    /// A shard has answered: `since` is when the room woke whose orders it carried out last. If that is a later one, whose
    /// clock was ahead, the orders were not carried out, and the next are to come after it. Whether those there are to be
    /// told anew, as far as that is not done: not while more than a message of that waits.
    pub fn answered(&mut self, shard: u32, since: u64, now_ms: u64) -> bool {
        if since > self.since {
            self.since = since.saturating_add(1);
            self.give_up(shard, now_ms);
            return false;
        }
        let most = self.most.carried;
        let Some(link) = self.get_mut(shard) else { return false };
        (link.flying, link.done, link.is_silent) = (None, link.flown, false);
        if link.is_down() {
            link.state = Health::CatchingUp;
        }
        link.state == Health::CatchingUp && link.queue.bytes().sent < most
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

    /// The shard did not answer; nobody knows what it has done. Whether that is news: it is tried again until it answers.
    pub fn failed(&mut self, shard: u32, now_ms: u64) -> bool {
        self.give_up(shard, now_ms);
        self.get_mut(shard).is_some_and(|link| !std::mem::replace(&mut link.is_silent, true))
    }

    fn give_up(&mut self, shard: u32, now_ms: u64) {
        if let Some(link) = self.get_mut(shard) {
            let closes = link.flying.take().unwrap_or_default();
            link.queue.put_back(closes);
            link.queue.drop_frames();
            link.state = Health::Down { retry_ms: now_ms.saturating_add(RETRY_MS) };
        }
    }

    /// Shards that are too slow for what they are to be sent: they count as failed. While it is too much, the one that holds
    /// most: a slow shard holds what the others have sent long since, so dropping that frees it, and the others lose
    /// nothing. Only where all are as slow, and wait for the same frames, is everything dropped.
    pub fn overflown(&mut self) -> Vec<u32> {
        let mut over = Vec::new();
        while self.queued() > self.most.queued {
            let up = self.all.iter_mut().filter(|link| !link.is_down());
            let Some(link) = up.max_by_key(|link| link.queue.bytes().for_all()) else { break };
            link.queue.drop_frames();
            link.state = Health::Down { retry_ms: 0 };
            over.push(link.shard);
        }
        over
    }

    /// How many bytes wait for shards, without those for single sockets.
    fn queued(&self) -> usize {
        self.all.iter().map(|link| link.queue.bytes().own).fold(self.held.get(), usize::saturating_add)
    }

    /// How many bytes wait for single sockets of shards.
    fn sent(&self) -> usize {
        self.all.iter().map(|link| link.queue.bytes().sent).fold(0, usize::saturating_add)
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
        let frame = Frame::new(text, &self.held);
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
                link.queue.share(to, Rc::clone(&frame));
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

#[cfg(test)]
mod tests;
