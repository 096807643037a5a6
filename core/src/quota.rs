//! The daily quota of an organisation: taken in blocks, spent in memory.
//!
//! In scope: the units that a gate holds of one day, what they pay for, and how many to ask for. Out of scope: where units come
//! from. Postgres is the truth; the organisation's gate takes blocks from it, workspaces' gates take blocks from that one.
//!
//! Published bound: on any day at most the quota is admitted, however many gates and isolates there are and whenever they
//! die: a unit is counted in Postgres before it is spent, and spent once. Under-use: what gates hold when the day ends or
//! when they go quiet, at most a hundredth of the quota each. While a source does not answer, calls go on as a debt: for a
//! while, of no more than the day's rest, and counted as soon as it answers.

mod day;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use day::{Day, DayLength};

use crate::limit::{LimitView, seconds_up};

/// A block is at most a hundredth of the quota: so many gates can hold one and the quota still be used up.
const MOST_BLOCKS: u64 = 100;
/// A block is at most a sixteenth of what is left: near the limit blocks shrink to single units.
const SHARE: u64 = 16;
/// How long a gate believes that nothing is left: a better plan, or a block given back, is noticed by then.
pub const ASK_AGAIN_MS: u64 = 5_000;
/// How often a silent source is asked whether it is back.
const ASK_SILENT_MS: u64 = 250;

/// What a source answers: units of a day, already counted as used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The day they are of.
    pub day: Day,
    /// How many; 0: nothing is left.
    pub units: u64,
    /// How many of the day are counted as used in all, these included.
    pub used: u64,
}

/// The units that a gate holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purse {
    day: Day,
    units: u64,
    used: u64,
    debt: u64,
    /// Debts that questions under way carry.
    carried: u64,
    empty_until_ms: u64,
    /// 0 while the source answers; else since when it does not.
    silent_since_ms: u64,
    /// When a silent source may be asked again.
    silent_until_ms: u64,
}

/// What becomes of a call that no unit pays for, because the source does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owing {
    /// It goes on, and is owed; so many units more could be.
    May {
        /// What is left of the day besides, as far as it is known.
        spare: u64,
    },
    /// With what is owed already the day would be used up.
    UsedUp,
    /// The source has been silent for so long that nobody can say any more.
    TooLong,
}

/// What is stored of a purse: after a restart it holds no more than it really had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPurse {
    /// The day.
    pub day: Day,
    /// At most as many as the purse holds.
    pub units: u64,
    /// How many were counted as used in all: what headers show must not grow by a restart.
    #[serde(default)]
    pub used: u64,
    /// What is owed, also if a question carried it: counted twice at worst, and never lost.
    #[serde(default)]
    pub owed: u64,
    /// Since when the source does not answer; 0 while it does.
    #[serde(default)]
    pub silent_since_ms: u64,
}

impl Purse {
    /// A purse after a restart. A day far ahead is from a clock that was wrong: nobody waits for it to come.
    #[must_use]
    pub fn restart(stored: StoredPurse, today: Day) -> Self {
        let StoredPurse { owed, silent_since_ms, .. } = stored;
        let owing = Self { debt: owed, silent_since_ms, ..Self::default() };
        if stored.day > today.next() {
            owing
        } else {
            Self { day: stored.day, units: stored.units, used: stored.used, ..owing }
        }
    }

    /// The day to reckon with, when the clock says `day`. Clocks differ by a little: around midnight the day of whoever is
    /// ahead counts for all, and a call that began before midnight is counted after it.
    #[must_use]
    pub fn today(&self, day: Day) -> Day {
        self.day.max(day)
    }

    /// Begins a day that somebody else is in already, but not one that the clock says is further than tomorrow.
    pub fn begin(&mut self, theirs: Day, day: Day) {
        let begun = theirs.min(day.next());
        if begun > self.day {
            *self = Self { day: begun, units: 0, used: 0, empty_until_ms: 0, ..*self };
        }
    }

    /// Whether the source did not answer the last question: then nobody waits for it.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.silent_until_ms > 0
    }

    /// Whether the source may be asked at this moment.
    #[must_use]
    pub const fn may_ask(&self, now_ms: u64) -> bool {
        now_ms >= self.silent_until_ms
    }

    /// Notes that the source did not answer.
    pub fn fell_silent(&mut self, now_ms: u64) {
        if self.silent_since_ms == 0 {
            self.silent_since_ms = now_ms;
        }
        self.silent_until_ms = now_ms.saturating_add(ASK_SILENT_MS);
    }

    /// Units of this day in hand. Those of another day are gone.
    #[must_use]
    pub fn units(&self, day: Day) -> u64 {
        if self.day == day { self.units } else { 0 }
    }

    /// Whether the source said a moment ago that it has nothing left of this day; what is in hand may still be spent.
    #[must_use]
    pub fn is_used_up(&self, day: Day, now_ms: u64) -> bool {
        self.day == day && now_ms < self.empty_until_ms
    }

    /// Takes units out; false, and nothing is taken, if there are not as many.
    pub fn spend(&mut self, day: Day, units: u64) -> bool {
        let enough = self.units(day) >= units;
        if enough {
            self.units -= units;
        }
        enough
    }

    /// Admits without units, because the source does not answer: it is owed.
    pub fn owe(&mut self, units: u64) {
        self.debt = self.debt.saturating_add(units);
    }

    /// Whether a call may still be owed: for so long after the source fell silent, and while all that is owed could be of
    /// the day, as far as it is known.
    #[must_use]
    pub fn owing(&self, day: Day, quota: u64, cost: u64, now_ms: u64, most_ms: u64) -> Owing {
        let owed = self.debt.saturating_add(self.carried).saturating_add(cost);
        let Some(spare) = quota.saturating_sub(self.used(day)).checked_sub(owed) else { return Owing::UsedUp };
        let too_long = self.is_silent() && now_ms.saturating_sub(self.silent_since_ms) >= most_ms;
        if too_long { Owing::TooLong } else { Owing::May { spare } }
    }

    /// Takes the debt out, to be counted with a question. Whoever asks says what became of it ([`Purse::settle`]): of two
    /// questions at once only one carries it.
    pub fn take_debt(&mut self) -> u64 {
        self.carried = self.carried.saturating_add(self.debt);
        std::mem::take(&mut self.debt)
    }

    /// A question that carried this debt is over: it is counted, or owed again.
    pub fn settle(&mut self, owed: u64, is_counted: bool) {
        self.carried = self.carried.saturating_sub(owed);
        if !is_counted {
            self.owe(owed);
        }
    }

    /// Takes back a debt that somebody else goes on owing.
    pub fn forgive(&mut self, units: u64) {
        self.debt = self.debt.saturating_sub(units);
    }

    /// How many units of this day are counted as used, as far as known.
    #[must_use]
    pub fn used(&self, day: Day) -> u64 {
        if self.day == day { self.used } else { 0 }
    }

    /// Takes an answer; false, and nothing is taken, if it is about a day that is over here.
    pub fn granted(&mut self, granted: Granted, now_ms: u64) -> bool {
        if granted.day < self.day {
            return false;
        }
        let held = self.units(granted.day);
        let used = if self.day == granted.day { self.used.max(granted.used) } else { granted.used };
        let units = held.saturating_add(granted.units);
        let empty_until_ms = if granted.units == 0 { now_ms.saturating_add(ASK_AGAIN_MS) } else { 0 };
        *self = Self { day: granted.day, units, used, empty_until_ms, silent_since_ms: 0, silent_until_ms: 0, ..*self };
        true
    }

    /// How many units to ask for, when so many are needed at once.
    #[must_use]
    pub fn wanted(&self, day: Day, quota: u64, needed: u64) -> u64 {
        let block = (quota.saturating_sub(self.used(day)) / SHARE).min(quota / MOST_BLOCKS).max(1);
        block.max(needed)
    }

    /// Whether less than a quarter of a block is in hand: worth asking before somebody has to wait.
    #[must_use]
    pub fn is_low(&self, day: Day, quota: u64) -> bool {
        self.units(day).saturating_mul(4) < self.wanted(day, quota, 0)
    }

    /// What headers show of the day: what nobody has taken yet, and what is in hand here.
    #[must_use]
    pub fn view(&self, length: DayLength, quota: u64, now_ms: u64) -> LimitView {
        let day = self.today(length.day(now_ms));
        let used = self.used(day);
        LimitView {
            policy: POLICY.into(),
            limit: quota,
            window_s: length.seconds(),
            remaining: quota.saturating_sub(used).saturating_add(self.units(day)).min(quota),
            reset_s: seconds_up(length.left_ms(now_ms)),
        }
    }

    /// What to store before an answer that rests on this purse; `None` while `stored` does not claim more than is there.
    /// A sixteenth of a block is written off ahead, so that a block costs sixteen writes and a restart no more than that. What
    /// is owed, and how far the day is, is written each time: a later life owes no more than this one could.
    #[must_use]
    pub fn unsaved(&self, stored: StoredPurse, quota: u64) -> Option<StoredPurse> {
        let behind = stored.day != self.day || stored.units > self.units;
        let step = self.wanted(self.day, quota, 0) / SHARE;
        let gained = stored.day == self.day && stored.units.saturating_add(2 * step) < self.units;
        let units = self.units.saturating_sub(step);
        let (owed, silent_since_ms) = (self.debt.saturating_add(self.carried), self.silent_since_ms);
        let told = (stored.used, stored.owed, stored.silent_since_ms) != (self.used, owed, silent_since_ms);
        (behind || gained || told).then_some(StoredPurse {
            day: self.day,
            units,
            used: self.used,
            owed,
            silent_since_ms,
        })
    }
}

/// The name of the policy in headers and problems.
pub const POLICY: &str = "daily";
