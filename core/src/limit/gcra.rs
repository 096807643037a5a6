//! The generic cell rate algorithm: one number, the theoretical arrival time of the next request at an even pace.
//!
//! In scope: taking from one bucket. Out of scope: several buckets, blocks and storage.
//!
//! All arithmetic is in whole microseconds. A float of milliseconds since 1970 resolves 0.2 µs and drifts with each sum;
//! a whole number keeps the bound exact. The interval is rounded up, so rounding can only admit less.

use serde::{Deserialize, Serialize};

use super::{BucketKind, Tier};

/// What a bucket holds and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketSpec {
    /// The tier it counts.
    pub tier: Tier,
    /// Whose it is.
    pub kind: BucketKind,
    /// Tokens that come back in one window; at least 1.
    pub limit: u64,
    /// The window, in milliseconds; at least 1.
    pub window_ms: u64,
    /// Tokens of a full bucket; at least 1.
    pub burst: u64,
    /// How long a caller is refused after his first refusal, in milliseconds; 0 for no block.
    pub block_ms: u64,
}

impl BucketSpec {
    /// Microseconds until one token is back, rounded up; at least 1.
    #[must_use]
    pub const fn interval_us(&self) -> u64 {
        let limit = if self.limit == 0 { 1 } else { self.limit };
        let interval = self.window_ms.saturating_mul(1000).div_ceil(limit);
        if interval == 0 { 1 } else { interval }
    }

    /// Microseconds until an empty bucket is full.
    #[must_use]
    pub const fn tolerance_us(&self) -> u64 {
        self.interval_us().saturating_mul(if self.burst == 0 { 1 } else { self.burst })
    }

    /// The most tokens that one isolate may hold of it: an eighth.
    #[must_use]
    pub const fn lease_share(&self) -> u64 {
        self.burst / 8
    }

    /// A cost above the burst could never be paid: it empties the bucket instead.
    const fn charge_us(&self, cost: u32) -> u64 {
        let charge = self.interval_us().saturating_mul(cost as u64);
        if charge > self.tolerance_us() { self.tolerance_us() } else { charge }
    }
}

/// A clock that never runs backwards: the latest time it was ever told. A gate reads the platform's through one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    last_ms: u64,
}

impl Clock {
    /// The time to reckon with, when the platform says `now_ms`.
    pub fn read(&mut self, now_ms: u64) -> u64 {
        self.last_ms = self.last_ms.max(now_ms);
        self.last_ms
    }
}

/// One bucket's state. The default is a full bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gcra {
    /// Microseconds since 1970 at which the bucket will be full.
    pub(super) full_at_us: u64,
}

/// What came of a request to one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Paid.
    Allowed {
        /// Whole tokens left.
        remaining: u64,
        /// Milliseconds until the bucket is full, rounded up.
        reset_ms: u64,
    },
    /// Nothing was taken.
    Denied {
        /// Milliseconds after which the same request passes if no other comes before it; rounded up, at least 1.
        retry_after_ms: u64,
    },
}

impl Gcra {
    /// Takes `cost` tokens, or none. `now_ms` comes from a [`Clock`]: the bound holds only while it never runs backwards.
    pub fn take(&mut self, spec: &BucketSpec, now_ms: u64, cost: u32) -> Take {
        let at_us = now_ms.saturating_mul(1000);
        let full_at_us = self.full_at_us.max(at_us).saturating_add(spec.charge_us(cost));
        let latest_us = at_us.saturating_add(spec.tolerance_us());
        if full_at_us > latest_us {
            return Take::Denied { retry_after_ms: (full_at_us - latest_us).div_ceil(1000) };
        }
        self.full_at_us = full_at_us;
        Take::Allowed { remaining: self.remaining(spec, now_ms), reset_ms: self.reset_ms(now_ms) }
    }

    /// Takes one token that may not be there. What is missing is waited for, but never for longer than `most_ms` beyond an
    /// empty bucket.
    pub(super) fn owe(&mut self, spec: &BucketSpec, now_ms: u64, most_ms: u64) {
        let at_us = now_ms.saturating_mul(1000);
        let latest_us = at_us.saturating_add(spec.tolerance_us()).saturating_add(most_ms.saturating_mul(1000));
        self.full_at_us = self.full_at_us.max(at_us).saturating_add(spec.interval_us()).min(latest_us);
    }

    /// The same bucket when `old` settings give way to `new` ones: as many tokens are missing, rounded up, and never more
    /// than there are.
    #[must_use]
    pub fn rescaled(self, old: &BucketSpec, new: &BucketSpec, now_ms: u64) -> Self {
        let at_us = now_ms.saturating_mul(1000);
        let missing_us = u128::from(self.full_at_us.saturating_sub(at_us));
        let scaled_us = (missing_us * u128::from(new.interval_us())).div_ceil(u128::from(old.interval_us()));
        let scaled_us = u64::try_from(scaled_us).unwrap_or(u64::MAX).min(new.tolerance_us());
        if scaled_us == 0 { self } else { Self { full_at_us: at_us.saturating_add(scaled_us) } }
    }

    /// Whole tokens in the bucket.
    #[must_use]
    pub fn remaining(&self, spec: &BucketSpec, now_ms: u64) -> u64 {
        let missing_us = self.full_at_us.saturating_sub(now_ms.saturating_mul(1000));
        spec.tolerance_us().saturating_sub(missing_us) / spec.interval_us()
    }

    /// Milliseconds until the bucket is full, rounded up.
    #[must_use]
    pub fn reset_ms(&self, now_ms: u64) -> u64 {
        self.full_at_us.saturating_sub(now_ms.saturating_mul(1000)).div_ceil(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: BucketSpec = BucketSpec {
        tier: Tier::Strict,
        kind: BucketKind::Principal,
        limit: 10,
        window_ms: 60_000,
        burst: 10,
        block_ms: 0,
    };

    #[test]
    fn a_burst_passes_and_then_the_pace_holds() {
        let mut bucket = Gcra::default();
        for remaining in (0..10).rev() {
            assert!(
                matches!(bucket.take(&SPEC, 1_000_000, 1), Take::Allowed { remaining: left, .. } if left == remaining)
            );
        }
        assert_eq!(bucket.take(&SPEC, 1_000_000, 1), Take::Denied { retry_after_ms: 6000 });
        assert_eq!(bucket.take(&SPEC, 1_005_999, 1), Take::Denied { retry_after_ms: 1 });
        assert_eq!(bucket.take(&SPEC, 1_006_000, 1), Take::Allowed { remaining: 0, reset_ms: 60_000 });
    }

    #[test]
    fn a_cost_above_the_burst_empties_the_bucket() {
        let mut bucket = Gcra::default();
        assert_eq!(bucket.take(&SPEC, 1_000_000, 99), Take::Allowed { remaining: 0, reset_ms: 60_000 });
    }
}
