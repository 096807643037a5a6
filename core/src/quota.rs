//! The daily quota of an organisation: taken in blocks, spent in memory.
//!
//! In scope: the units that a gate holds of one day, what they pay for, and how many to ask for. Out of scope: where units come
//! from. Postgres is the truth; the organisation's gate takes blocks from it, workspaces' gates take blocks from that one.
//!
//! Published bound: on any day at most the quota is admitted, however many gates and isolates there are and whenever they
//! die: a unit is counted in Postgres before it is spent, and spent once. Under-use: what gates hold when the day ends or
//! when they go quiet, at most a hundredth of the quota each. While a source does not answer, calls go on as a debt, which
//! is counted as soon as it answers.

use serde::{Deserialize, Serialize};

use crate::limit::{LimitView, seconds_up};

/// A block is at most a hundredth of the quota: so many gates can hold one and the quota still be used up.
const MOST_BLOCKS: u64 = 100;
/// A block is at most a sixteenth of what is left: near the limit blocks shrink to single units.
const SHARE: u64 = 16;
/// How long a gate believes that nothing is left: a better plan, or a block given back, is noticed by then.
pub const ASK_AGAIN_MS: u64 = 5_000;

/// A UTC day by its number since 1970. Tests have shorter ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub u64);

/// How long a day is, in milliseconds; at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayLength(u64);

impl DayLength {
    /// 24 hours, or another length for tests.
    #[must_use]
    pub const fn new(ms: u64) -> Self {
        Self(if ms == 0 { 1 } else { ms })
    }

    /// The day of a moment.
    #[must_use]
    pub const fn day(self, now_ms: u64) -> Day {
        Day(now_ms / self.0)
    }

    /// Milliseconds until the next day; at least 1.
    #[must_use]
    pub const fn left_ms(self, now_ms: u64) -> u64 {
        self.0 - now_ms % self.0
    }

    /// The length in seconds, rounded up.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        seconds_up(self.0)
    }
}

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
    empty_until_ms: u64,
}

/// What is stored of a purse: after a restart it holds no more than it really had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPurse {
    /// The day.
    pub day: Day,
    /// At most as many as the purse holds.
    pub units: u64,
}

impl Purse {
    /// A purse after a restart.
    #[must_use]
    pub fn restart(stored: StoredPurse) -> Self {
        Self { day: stored.day, units: stored.units, ..Self::default() }
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

    /// Takes the debt out, to be counted with a question. Whoever asks owes it again if there is no answer: of two
    /// questions at once only one carries it.
    pub fn take_debt(&mut self) -> u64 {
        std::mem::take(&mut self.debt)
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

    /// Takes an answer. Of two days the later counts.
    pub fn granted(&mut self, granted: Granted, now_ms: u64) {
        if granted.day < self.day {
            return;
        }
        let held = self.units(granted.day);
        let used = if self.day == granted.day { self.used.max(granted.used) } else { granted.used };
        let units = held.saturating_add(granted.units);
        let empty_until_ms = if granted.units == 0 { now_ms.saturating_add(ASK_AGAIN_MS) } else { 0 };
        *self = Self { day: granted.day, units, used, debt: self.debt, empty_until_ms };
    }

    /// How many units to ask for, when so many are needed at once.
    #[must_use]
    pub fn wanted(&self, day: Day, quota: u64, needed: u64) -> u64 {
        let used = if self.day == day { self.used } else { 0 };
        let block = (quota.saturating_sub(used) / SHARE).min(quota / MOST_BLOCKS).max(1);
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
        let day = length.day(now_ms);
        let used = if self.day == day { self.used } else { 0 };
        LimitView {
            policy: POLICY.to_owned(),
            limit: quota,
            window_s: length.seconds(),
            remaining: quota.saturating_sub(used).saturating_add(self.units(day)).min(quota),
            reset_s: seconds_up(length.left_ms(now_ms)),
        }
    }

    /// What to store before an answer that rests on this purse; `None` while `stored` does not claim more than is there.
    /// A sixteenth of a block is written off ahead, so that a block costs sixteen writes and a restart no more than that.
    #[must_use]
    pub fn unsaved(&self, stored: StoredPurse, quota: u64) -> Option<StoredPurse> {
        let behind = stored.day != self.day || stored.units > self.units;
        let step = self.wanted(self.day, quota, 0) / SHARE;
        let gained = stored.day == self.day && stored.units.saturating_add(2 * step) < self.units;
        (behind || gained).then(|| StoredPurse { day: self.day, units: self.units.saturating_sub(step) })
    }
}

/// The name of the policy in headers and problems.
pub const POLICY: &str = "daily";

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: DayLength = DayLength::new(1_000);

    #[test]
    fn a_day_begins_at_midnight_and_its_units_end_with_it() {
        assert_eq!((LENGTH.day(999), LENGTH.day(1_000), LENGTH.left_ms(1_999)), (Day(0), Day(1), 1));
        let mut purse = Purse::default();
        purse.granted(Granted { day: Day(1), units: 2, used: 2 }, 1_000);
        assert!(purse.spend(Day(1), 1) && !purse.spend(Day(2), 1));
        assert_eq!((purse.units(Day(1)), purse.units(Day(2))), (1, 0));
    }

    #[test]
    fn blocks_are_a_hundredth_and_shrink_to_one() {
        let mut purse = Purse::default();
        assert_eq!(purse.wanted(Day(0), 100_000, 1), 1_000);
        for (used, block) in [(90_000, 625), (99_900, 6), (99_990, 1), (100_000, 1)] {
            purse.granted(Granted { day: Day(0), units: 0, used }, 0);
            assert_eq!(purse.wanted(Day(0), 100_000, 1), block, "{used}");
        }
        assert_eq!(purse.wanted(Day(0), 60, 9), 9, "never less than is needed");
    }

    #[test]
    fn nothing_left_is_believed_for_a_moment() {
        let mut purse = Purse::default();
        purse.granted(Granted { day: Day(0), units: 0, used: 60 }, 100);
        assert!(purse.is_used_up(Day(0), 5_099) && !purse.is_used_up(Day(0), 5_100) && !purse.is_used_up(Day(1), 200));
    }

    #[test]
    fn a_debt_is_owed_until_it_is_counted() {
        let mut purse = Purse::default();
        purse.owe(3);
        let asked = purse.take_debt();
        purse.owe(2);
        assert_eq!((asked, purse.take_debt()), (3, 2));
        purse.owe(2);
        purse.granted(Granted { day: Day(0), units: 10, used: 13 }, 0);
        assert_eq!((purse.take_debt(), purse.units(Day(0))), (2, 10));
    }

    #[test]
    fn headers_show_what_is_left_of_the_day() {
        let mut purse = Purse::default();
        purse.granted(Granted { day: Day(1), units: 5, used: 45 }, 1_500);
        let view = purse.view(LENGTH, 60, 1_500);
        assert_eq!(
            (view.policy.as_str(), view.limit, view.window_s, view.remaining, view.reset_s),
            ("daily", 60, 1, 20, 1)
        );
    }

    /// Gates find their units by this after a deploy.
    #[test]
    fn the_stored_form_is_fixed() {
        let stored = StoredPurse { day: Day(20_778), units: 937 };
        let text = r#"{"day":20778,"units":937}"#;
        assert_eq!(serde_json::to_string(&stored).expect("json"), text);
        assert_eq!(serde_json::from_str::<StoredPurse>(text).expect("purse"), stored);
    }
}
