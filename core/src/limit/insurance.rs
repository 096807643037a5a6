//! What an isolate gives away by itself while nobody counts for it.
//!
//! In scope: a caller's share of his limit, and what all callers get together. Out of scope: who is insured, and the table
//! of their buckets.
//!
//! The table is bounded and forgets whoever was unseen for longest, so a caller's own bucket alone bounds nothing: with
//! enough names he would always meet a fresh one. What bounds the isolate is what it has given in all.

use super::bucket::charge;
use super::{Bucket, BucketSpec, Charge, Gcra, Take, Tier};

/// The share of a limit that one isolate gives away by itself: ten isolates together give what the gate would have.
const SHARE: u64 = 10;
/// An isolate gives in all what so many callers may have at once, and asks for as many strangers.
const CALLERS: u64 = 100;

/// What one isolate gives away of a bucket.
#[must_use]
pub fn insured(whole: BucketSpec) -> BucketSpec {
    BucketSpec { limit: (whole.limit / SHARE).max(1), burst: (whole.burst / SHARE).max(1), ..whole }
}

/// What an isolate has given in all, by tier.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given {
    standard: Gcra,
    relaxed: Gcra,
    tickets: Gcra,
}

impl Given {
    /// Charges an insured caller's bucket, and the isolate's own; nothing if either holds too little. `None` if the isolate
    /// has given away what it may, or the tier is not insured.
    ///
    /// A call takes of the whole what it takes of a hundred buckets like the caller's: plans and settings need no common
    /// measure.
    pub fn charge(&mut self, own: &mut Bucket, now_ms: u64, cost: u32) -> Option<Charge> {
        let given = match own.spec().tier {
            Tier::Standard => &mut self.standard,
            Tier::Relaxed => &mut self.relaxed,
            Tier::Tickets => &mut self.tickets,
            Tier::Strict | Tier::Anonymous | Tier::SignIn => return None,
        };
        let (mut after, mut all) = (*own, *given);
        let charged = charge(std::slice::from_mut(&mut after), now_ms, cost)?;
        if matches!(charged, Charge::Allowed { .. }) {
            // More than all of his own nobody pays: nor does the isolate.
            let paid = cost.min(u32::try_from(own.spec().burst).unwrap_or(u32::MAX));
            let Take::Allowed { .. } = all.take(&together(own.spec()), now_ms, paid) else { return None };
        }
        (*own, *given) = (after, all);
        Some(charged)
    }
}

/// What a hundred callers may have.
pub(super) fn together(own: &BucketSpec) -> BucketSpec {
    BucketSpec { limit: own.limit.saturating_mul(CALLERS), burst: own.burst.saturating_mul(CALLERS), ..*own }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{BucketKind, Limits};
    use crate::role::Plan;

    fn spec(tier: Tier) -> BucketSpec {
        insured(Limits::default().bucket(tier, BucketKind::Principal, Plan::Free))
    }

    #[test]
    fn a_caller_has_a_tenth_and_a_thousand_callers_have_no_more_than_a_hundred() {
        let mut given = Given::default();
        let mut admitted = 0;
        for _ in 0..1_000 {
            let mut own = Bucket::fresh(spec(Tier::Standard));
            let mut passes =
                |given: &mut Given| matches!(given.charge(&mut own, 5_000, 1), Some(Charge::Allowed { .. }));
            admitted += (0..20).filter(|_| passes(&mut given)).count();
        }
        assert_eq!(admitted, 100 * 10);
        // The other tier is counted by itself, and this one fills as a hundred such buckets do.
        let relaxed = given.charge(&mut Bucket::fresh(spec(Tier::Relaxed)), 5_000, 1);
        assert!(matches!(relaxed, Some(Charge::Allowed { .. })));
        let fresh = || Bucket::fresh(spec(Tier::Standard));
        assert_eq!(given.charge(&mut fresh(), 5_059, 1), None);
        assert!(given.charge(&mut fresh(), 5_060, 1).is_some());
    }

    #[test]
    fn who_is_refused_himself_takes_nothing_of_the_whole_and_the_other_way_round() {
        let mut given = Given::default();
        let mut own = Bucket::fresh(spec(Tier::Relaxed));
        let _ = given.charge(&mut own, 5_000, 50);
        let before = given.relaxed;
        assert!(matches!(given.charge(&mut own, 5_000, 1), Some(Charge::Denied { .. })));
        assert_eq!(given.relaxed, before);
        for _ in 0..99 {
            let _ = given.charge(&mut Bucket::fresh(spec(Tier::Relaxed)), 5_000, 50);
        }
        let mut last = Bucket::fresh(spec(Tier::Relaxed));
        assert_eq!(given.charge(&mut last, 5_000, 1), None);
        assert_eq!(last, Bucket::fresh(spec(Tier::Relaxed)));
    }

    #[test]
    fn the_strict_tier_is_not_insured() {
        assert_eq!(Given::default().charge(&mut Bucket::fresh(spec(Tier::Strict)), 5_000, 1), None);
    }
}
