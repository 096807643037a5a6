//! A gate that is evicted, or crashes between charging and answering, never admits more than the published bound.

use drey_core::limit::{Bucket, BucketSpec, Charge, Stored, charge};
use proptest::prelude::*;

use crate::limit::{START_MS, calls, specs, within_bound};

/// What befalls the gate after a charge.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It stores, answers and lives on.
    Lives,
    /// It is gone before the row was written; the output gate held the answer back.
    DiesUnsaved,
    /// It is gone after the row was written and the answer went out.
    DiesAnswered,
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![8 => Just(Fate::Lives), 1 => Just(Fate::DiesUnsaved), 1 => Just(Fate::DiesAnswered)]
}

proptest! {
    #[test]
    fn restarts_never_admit_more(
        spec in specs(),
        calls in prop::collection::vec((0_u64..100, 1_u32..5, fates()), 1..200),
    ) {
        let (mut stored, mut now, mut admitted) = (Stored::default(), START_MS, Vec::new());
        let mut bucket = Bucket::restart(spec, stored);
        for (pause, cost, fate) in calls {
            now += pause;
            let outcome = charge(std::slice::from_mut(&mut bucket), now, cost);
            if fate == Fate::DiesUnsaved && bucket.unsaved().is_some() {
                bucket = Bucket::restart(spec, stored);
                continue;
            }
            if let Some(row) = bucket.unsaved() {
                stored = row;
                bucket.saved(row);
            }
            if let Some(Charge::Allowed { .. }) = outcome {
                admitted.push((now, u64::from(cost).min(spec.burst)));
            }
            if fate == Fate::DiesAnswered {
                bucket = Bucket::restart(spec, stored);
            }
        }
        prop_assert!(within_bound(&spec, &admitted));
    }

    #[test]
    fn at_any_moment_the_stored_row_admits_no_more_than_the_bucket(spec in specs(), calls in calls()) {
        let (mut bucket, mut now, mut row) = (Bucket::fresh(spec), START_MS, Stored::default());
        for (pause, cost) in calls {
            now += pause;
            let _ = charge(std::slice::from_mut(&mut bucket), now, cost);
            if let Some(unsaved) = bucket.unsaved() {
                row = unsaved;
                bucket.saved(unsaved);
            }
            prop_assert_eq!(bucket.unsaved(), None, "what is saved is saved");
            let restarted = Bucket::restart(spec, row);
            prop_assert!(restarted.view(now).remaining <= bucket.view(now).remaining);
            let passes = |bucket: Bucket| matches!(charge(&mut [bucket], now, 1), Some(Charge::Allowed { .. }));
            prop_assert!(passes(bucket) || !passes(restarted), "a block survives a restart");
        }
    }

    #[test]
    fn a_restart_costs_at_most_a_second_of_rate(spec in specs(), calls in calls()) {
        let (mut bucket, mut now) = (Bucket::fresh(BucketSpec { block_ms: 0, ..spec }), START_MS);
        for (pause, cost) in calls {
            now += pause;
            let _ = charge(std::slice::from_mut(&mut bucket), now, cost);
            if let Some(row) = bucket.unsaved() {
                bucket.saved(row);
                let restarted = Bucket::restart(*bucket.spec(), row);
                let lost = bucket.view(now).remaining - restarted.view(now).remaining;
                prop_assert!(lost <= 1_000_000_u64.div_ceil(spec.interval_us()));
            }
        }
    }

    #[test]
    fn an_idle_bucket_may_be_forgotten(spec in specs(), calls in calls(), later in 0_u64..1_000_000) {
        let (mut bucket, mut now) = (Bucket::fresh(spec), START_MS);
        for (pause, cost) in calls {
            now += pause;
            let _ = charge(std::slice::from_mut(&mut bucket), now, cost);
        }
        let then = now + later;
        if bucket.is_idle(then) {
            let (mut kept, mut fresh) = ([bucket], [Bucket::fresh(spec)]);
            prop_assert_eq!(charge(&mut kept, then, 1), charge(&mut fresh, then, 1));
        }
    }
}
