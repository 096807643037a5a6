//! What one scope's feed knows of its log, and who waits for more of it.
//!
//! In scope: the order of delivery, when Postgres must be read, who may wait. Out of scope: sockets, timers, SQL.
//!
//! A feed holds the newest messages without a gap, up to an epoch. Notices only say that there is more: what is delivered
//! follows on what was delivered before, or is read from Postgres first. So a notice that is lost, late or repeated
//! costs time and never a message; one read serves everybody who waits.

mod access;
mod ring;

use std::collections::BTreeMap;

use self::ring::Ring;
use super::Offset;
use crate::id::{ApiKeyId, UserId};

/// How much a feed takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedLimits {
    /// Waiters at once.
    pub waiters: usize,
    /// Waiters of one reader at once.
    pub per_reader: usize,
    /// Bytes of the newest messages that are kept for readers who come back.
    pub ring_bytes: usize,
    /// Milliseconds for which a reader who has proved that he may read need not prove it again.
    pub proof_ms: u64,
}

/// Who waits: a person, or a key that acts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// The person.
    pub user: UserId,
    /// The key.
    pub api_key: Option<ApiKeyId>,
}

/// A request to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// By whom.
    pub reader: Reader,
    /// What he has read.
    pub offset: Offset,
    /// Whether the Worker has just read that place as this reader: the scope is his to read, and the place exists.
    pub proved: bool,
    /// Whether he stays after a delivery (SSE).
    pub stays: bool,
    /// The epoch of narrowed access that he was admitted at.
    pub admitted: i64,
}

/// The number of a waiter; none is used twice.
pub type WaiterId = u64;

/// Messages for a reader, and where he stands with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// After the last message.
    pub next: Offset,
    /// A JSON array.
    pub messages: String,
}

/// What becomes of a request to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The feed cannot vouch for reader or place: the Worker is to read Postgres as the reader, and to ask again.
    Ask,
    /// He waits; what he missed comes with it.
    Waiting(WaiterId, Option<Frame>),
    /// There is something for him already.
    Answer(Frame),
    /// Too many wait here.
    Full,
    /// Too many of this reader wait here.
    TooMany,
}

/// What a read of the log after an epoch gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRead {
    /// The generation that was read.
    pub generation: i64,
    /// The newest epoch of the scope.
    pub epoch: i64,
    /// Changes up to here have been truncated.
    pub floor: i64,
    /// The messages after the epoch that was asked for, each a JSON object.
    pub messages: Vec<String>,
}

/// What is to be done for waiters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedEffect {
    /// Send this to them. Those who do not stay wait no longer.
    Deliver(Vec<WaiterId>, Frame),
    /// End them: they come again with their offsets, and are told then.
    End(Vec<WaiterId>),
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    reader: Reader,
    /// The last epoch he has.
    after: i64,
    stays: bool,
    admitted: i64,
}

/// The feed of one scope. It begins to know something with the first reader who has proved where he stands.
#[derive(Debug)]
pub struct Feed {
    limits: FeedLimits,
    /// Generation 0: nothing is known.
    generation: i64,
    ring: Ring,
    /// The newest epoch heard of.
    heard: i64,
    /// Generation and epoch of a notice that came before anything was known: the reader who comes next may have read Postgres
    /// before the push that it tells of.
    rumour: (i64, i64),
    /// The epoch that a read under way is to reach.
    reading: Option<i64>,
    waiters: BTreeMap<WaiterId, Waiter>,
    next_id: WaiterId,
    proofs: BTreeMap<Reader, u64>,
}

impl Feed {
    /// A feed that knows nothing.
    #[must_use]
    pub const fn new(limits: FeedLimits) -> Self {
        Self {
            limits,
            generation: 0,
            ring: Ring::new(),
            heard: 0,
            rumour: (0, 0),
            reading: None,
            waiters: BTreeMap::new(),
            next_id: 1,
            proofs: BTreeMap::new(),
        }
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Takes a waiter, or says why not. The effects are for those of an earlier life of the scope.
    pub fn wait(&mut self, wish: &Wish, now_ms: u64) -> (Waits, Vec<FeedEffect>) {
        let mut effects = Vec::new();
        if wish.proved {
            effects = self.learn(wish, now_ms);
        }
        (self.place(wish, now_ms), effects)
    }

    fn place(&mut self, wish: &Wish, now_ms: u64) -> Waits {
        let is_proved = self.proofs.get(&wish.reader).is_some_and(|until_ms| *until_ms > now_ms);
        let after = wish.offset.epoch();
        // A place beyond what is known may be a new one or none at all: only Postgres can tell.
        let is_known = wish.proved || (is_proved && after <= self.ring.end());
        if !is_known || wish.offset.generation() != self.generation || after < self.ring.start() {
            return Waits::Ask;
        }
        let missed = self.frame_after(after);
        match missed {
            Some(frame) if !wish.stays => Waits::Answer(frame),
            missed => self.register(wish, missed),
        }
    }

    fn register(&mut self, wish: &Wish, missed: Option<Frame>) -> Waits {
        if self.waiters.len() >= self.limits.waiters {
            return Waits::Full;
        }
        if self.waiters.values().filter(|waiter| waiter.reader == wish.reader).count() >= self.limits.per_reader {
            return Waits::TooMany;
        }
        let id = self.next_id;
        self.next_id += 1;
        let after = wish.offset.epoch().max(self.ring.end());
        let waiter = Waiter { reader: wish.reader, after, stays: wish.stays, admitted: wish.admitted };
        self.waiters.insert(id, waiter);
        Waits::Waiting(id, missed)
    }

    /// A place that Postgres has vouched for. Where the scope has begun another life since, the old one's readers end.
    fn learn(&mut self, wish: &Wish, now_ms: u64) -> Vec<FeedEffect> {
        self.prove(wish.reader, now_ms);
        let (generation, epoch) = (wish.offset.generation(), wish.offset.epoch());
        if generation < self.generation {
            return Vec::new();
        }
        if generation > self.generation {
            let ended = self.forget();
            self.generation = generation;
            self.ring = Ring::from(epoch);
            self.heard = if self.rumour.0 == generation { epoch.max(self.rumour.1) } else { epoch };
            return ended;
        }
        // Nobody waits for what lies between, so it need not be read.
        if self.waiters.is_empty() && self.reading.is_none() && epoch > self.ring.end() {
            self.ring = Ring::from(epoch);
        }
        self.heard = self.heard.max(epoch);
        Vec::new()
    }

    /// Somebody waits no longer.
    pub fn leave(&mut self, id: WaiterId) {
        self.waiters.remove(&id);
    }

    /// Nothing that was known is so any more: all end.
    pub fn forget(&mut self) -> Vec<FeedEffect> {
        let ids = std::mem::take(&mut self.waiters).into_keys().collect();
        self.generation = 0;
        self.ring = Ring::new();
        self.heard = 0;
        ends(ids)
    }

    /// A notice: there are changes up to this epoch, and these messages are the last of them (none: they are not told).
    pub fn hear(&mut self, generation: i64, epoch: i64, messages: Vec<String>) -> Vec<FeedEffect> {
        if generation > self.generation && self.generation > 0 {
            return self.forget();
        }
        if self.generation == 0 {
            self.rumour = self.rumour.max((generation, epoch));
        }
        if generation < self.generation || self.generation == 0 {
            return Vec::new();
        }
        self.heard = self.heard.max(epoch);
        self.ring.append(epoch, messages, self.limits.ring_bytes);
        self.deliver()
    }

    /// Whether nothing is known to be missing.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.heard <= self.ring.end() && self.reading.is_none()
    }

    /// Where the feed stands, if somebody waits there.
    #[must_use]
    pub fn to_check(&self) -> Option<Offset> {
        if self.waiters.is_empty() { None } else { Offset::new(self.generation, self.ring.end()) }
    }

    /// What a look at the scope said, which began when the feed stood at `place`. A scope that is not what it was has been
    /// restored, or deleted with its thing.
    pub fn checked(&mut self, place: Offset, generation: i64, epoch: i64, floor: i64) -> Vec<FeedEffect> {
        if place.generation() != self.generation {
            return Vec::new();
        }
        if generation != self.generation || epoch < place.epoch() || floor > place.epoch() {
            return self.forget();
        }
        self.heard = self.heard.max(epoch);
        Vec::new()
    }

    /// Nobody waits: what was kept for them goes. Where the feed stands it knows on.
    pub fn rest(&mut self) {
        if self.waiters.is_empty() {
            self.ring = Ring::from(self.ring.end());
        }
    }

    /// The place after which Postgres is to be read now, if it is. One read at a time, and none while nobody waits.
    pub fn to_read(&mut self) -> Option<Offset> {
        if self.reading.is_some() || self.waiters.is_empty() || self.heard <= self.ring.end() {
            return None;
        }
        let after = Offset::new(self.generation, self.ring.end())?;
        self.reading = Some(self.heard);
        // What is heard from here on may be later than what the read sees.
        self.heard = self.ring.end();
        Some(after)
    }

    /// What was read after the place that [`Feed::to_read`] named. `None`: Postgres did not answer; the next check asks again.
    pub fn read(&mut self, after: Offset, read: Option<LogRead>) -> Vec<FeedEffect> {
        let goal = self.reading.take().unwrap_or_default();
        let Some(read) = read else {
            self.heard = self.heard.max(goal);
            return Vec::new();
        };
        if after.generation() != self.generation {
            return Vec::new();
        }
        if read.generation != self.generation || read.floor > after.epoch() {
            return self.forget();
        }
        self.heard = self.heard.max(read.epoch);
        let count = i64::try_from(read.messages.len()).unwrap_or_default();
        self.ring.append(after.epoch().saturating_add(count), read.messages, self.limits.ring_bytes);
        self.deliver()
    }

    /// Everybody gets what follows on what he has: one text for all who stand at the same place.
    fn deliver(&mut self) -> Vec<FeedEffect> {
        let end = self.ring.end();
        let mut groups: BTreeMap<i64, Vec<WaiterId>> = BTreeMap::new();
        for (id, waiter) in &mut self.waiters {
            if waiter.after < end {
                groups.entry(waiter.after).or_default().push(*id);
                waiter.after = end;
            }
        }
        let mut effects = Vec::new();
        for (after, ids) in groups {
            let Some(frame) = self.frame_after(after) else {
                // More came at once than is kept: they read it themselves.
                for id in &ids {
                    self.waiters.remove(id);
                }
                effects.extend(ends(ids));
                continue;
            };
            effects.push(FeedEffect::Deliver(ids, frame));
        }
        for effect in &effects {
            if let FeedEffect::Deliver(ids, _) = effect {
                self.done(ids);
            }
        }
        effects
    }

    /// Those who do not stay have been answered.
    fn done(&mut self, ids: &[WaiterId]) {
        for id in ids {
            if self.waiters.get(id).is_some_and(|waiter| !waiter.stays) {
                self.waiters.remove(id);
            }
        }
    }

    fn frame_after(&self, after: i64) -> Option<Frame> {
        let messages = self.ring.after(after)?;
        Some(Frame { next: Offset::new(self.generation, self.ring.end())?, messages })
    }
}

fn ends(ids: Vec<WaiterId>) -> Vec<FeedEffect> {
    if ids.is_empty() { Vec::new() } else { vec![FeedEffect::End(ids)] }
}
