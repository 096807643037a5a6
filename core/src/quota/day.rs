//! The days of the quota: their numbers, their length, their ends.

use serde::{Deserialize, Serialize};

use crate::limit::seconds_up;

/// A UTC day by its number since 1970. Tests have shorter ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub u64);

impl Day {
    pub(super) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// How long a day is, in milliseconds; at least a second, so that a date of Postgres can number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayLength(u64);

impl DayLength {
    /// 24 hours.
    pub const UTC: Self = Self(24 * 60 * 60 * 1000);

    /// Another length, for tests. `None` below a second: days are counted in `int`, and those of 800 ms would be too many
    /// since 1970.
    #[must_use]
    pub const fn new(ms: u64) -> Option<Self> {
        if ms < 1_000 { None } else { Some(Self(ms)) }
    }

    /// The length in milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_second_at_least() {
        assert_eq!([0, 1, 849, 999].map(DayLength::new), [None; 4]);
        assert_eq!((DayLength::new(1_000), DayLength::new(86_400_000)), (Some(DayLength(1_000)), Some(DayLength::UTC)));
    }
}
