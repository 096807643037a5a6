//! The published bound of one bucket, and what a refusal promises.

use drey_core::limit::{Bucket, BucketKind, BucketSpec, Charge, Clock, Gcra, Limits, Take, Tier, charge};
use drey_core::role::Plan;
use proptest::prelude::*;

/// A time in 2026, in milliseconds since 1970.
pub(crate) const START_MS: u64 = 1_795_000_000_000;

pub(crate) fn specs() -> impl Strategy<Value = BucketSpec> {
    let tier = prop::sample::select(Tier::ALL);
    (tier, 1_u64..2000, 1_u64..120_000, 1_u64..200, prop_oneof![Just(0), 1_u64..10_000]).prop_map(
        |(tier, limit, window_ms, burst, block_ms)| BucketSpec {
            tier,
            kind: BucketKind::Principal,
            limit,
            window_ms,
            burst,
            block_ms,
        },
    )
}

/// Pauses in milliseconds, mostly short, and costs.
pub(crate) fn calls() -> impl Strategy<Value = Vec<(u64, u32)>> {
    let pause = prop_oneof![4 => 0_u64..50, 1 => 0_u64..20_000];
    prop::collection::vec((pause, 1_u32..5), 1..200)
}

/// Of every interval between two admissions: no more than burst + rate·t. In whole numbers, so that no rounding hides a token.
pub(crate) fn within_bound(spec: &BucketSpec, admitted: &[(u64, u64)]) -> bool {
    (0..admitted.len()).all(|first| {
        let run = admitted.get(first..).unwrap_or_default();
        let begin = run.first().map_or(0, |(at, _)| *at);
        let mut sum = 0;
        run.iter().all(|(at, cost)| {
            sum += cost;
            sum <= spec.burst || (sum - spec.burst) * spec.window_ms <= (at - begin) * spec.limit
        })
    })
}

proptest! {
    #[test]
    fn a_bucket_admits_at_most_burst_and_rate(spec in specs(), calls in calls()) {
        let (mut bucket, mut now, mut admitted) = (Gcra::default(), START_MS, Vec::new());
        for (pause, cost) in calls {
            now += pause;
            if let Take::Allowed { .. } = bucket.take(&spec, now, cost) {
                admitted.push((now, u64::from(cost).min(spec.burst)));
            }
        }
        prop_assert!(within_bound(&spec, &admitted));
    }

    /// Where a token takes about a microsecond, rounding it the wrong way would admit half as many again.
    #[test]
    fn a_bucket_of_any_speed_keeps_its_bound(
        limit in 500_u64..5000,
        window_ms in 1_u64..4,
        burst in 1_u64..20_000,
        calls in prop::collection::vec((0_u64..4, 1_u32..5000), 1..200),
    ) {
        let spec = BucketSpec { tier: Tier::Relaxed, kind: BucketKind::Workspace, limit, window_ms, burst, block_ms: 0 };
        let (mut bucket, mut now, mut admitted) = (Gcra::default(), START_MS, Vec::new());
        for (pause, cost) in calls {
            now += pause;
            if let Take::Allowed { .. } = bucket.take(&spec, now, cost) {
                admitted.push((now, u64::from(cost).min(spec.burst)));
            }
        }
        prop_assert!(within_bound(&spec, &admitted));
    }

    #[test]
    fn a_platform_clock_that_runs_backwards_admits_no_more(
        spec in specs(),
        calls in prop::collection::vec((0_u64..200, 0_u64..5000), 1..200),
    ) {
        let (mut bucket, mut clock, mut platform, mut admitted) = (Gcra::default(), Clock::default(), START_MS, Vec::new());
        for (pause, back) in calls {
            platform += pause;
            let now = clock.read(platform - back);
            if let Take::Allowed { .. } = bucket.take(&spec, now, 1) {
                admitted.push((now, 1));
            }
        }
        prop_assert!(admitted.is_sorted(), "the clock never runs backwards");
        prop_assert!(within_bound(&spec, &admitted));
    }

    #[test]
    fn a_wait_is_never_early_and_never_longer_than_needed(spec in specs(), calls in calls()) {
        let (mut bucket, mut now) = (Gcra::default(), START_MS);
        for (pause, cost) in calls {
            now += pause;
            if let Take::Denied { retry_after_ms } = bucket.take(&spec, now, cost) {
                let mut waited = bucket;
                let allowed = matches!(waited.take(&spec, now + retry_after_ms, cost), Take::Allowed { .. });
                prop_assert!(allowed, "waiting it out must admit");
                let mut early = bucket;
                let denied = matches!(early.take(&spec, now + retry_after_ms - 1, cost), Take::Denied { .. });
                prop_assert!(denied, "a millisecond less must not");
            }
        }
    }

    #[test]
    fn what_remains_is_exactly_what_passes(spec in specs(), calls in calls()) {
        let (mut bucket, mut now) = (Gcra::default(), START_MS);
        for (pause, cost) in calls {
            now += pause;
            if let Take::Allowed { remaining, .. } = bucket.take(&spec, now, cost) {
                let mut rest = bucket;
                let passes = (0..=spec.burst).take_while(|_| matches!(rest.take(&spec, now, 1), Take::Allowed { .. }));
                prop_assert_eq!(passes.count() as u64, remaining);
            }
        }
    }

    #[test]
    fn buckets_are_charged_all_or_nothing(
        specs in prop::collection::vec(specs(), 1..4),
        calls in calls(),
    ) {
        let mut buckets: Vec<Bucket> = specs.into_iter().map(Bucket::fresh).collect();
        let mut now = START_MS;
        for (pause, cost) in calls {
            now += pause;
            let before = buckets.clone();
            let alone = before.iter().all(|bucket| {
                matches!(charge(&mut [*bucket], now, cost), Some(Charge::Allowed { .. }))
            });
            let left = |buckets: &[Bucket]| buckets.iter().map(|b| b.view(now).remaining).collect::<Vec<_>>();
            match charge(&mut buckets, now, cost) {
                Some(Charge::Allowed { view }) => {
                    prop_assert!(alone, "each bucket alone admits");
                    for (earlier, later) in left(&before).into_iter().zip(left(&buckets)) {
                        prop_assert!(later < earlier);
                    }
                    prop_assert_eq!(Some(view.remaining), left(&buckets).into_iter().min());
                }
                Some(Charge::Denied { .. }) => {
                    prop_assert!(!alone, "some bucket alone refuses");
                    prop_assert_eq!(left(&before), left(&buckets));
                }
                None => prop_assert!(false, "there are buckets"),
            }
        }
    }

    #[test]
    fn a_refusal_of_several_buckets_and_their_blocks_is_never_early(
        specs in prop::collection::vec(specs(), 1..4),
        calls in calls(),
    ) {
        let mut buckets: Vec<Bucket> = specs.into_iter().map(Bucket::fresh).collect();
        let mut now = START_MS;
        for (pause, cost) in calls {
            now += pause;
            if let Some(Charge::Denied { retry_after_ms, view, .. }) = charge(&mut buckets, now, cost) {
                let mut waited = buckets.clone();
                let after = charge(&mut waited, now + retry_after_ms, cost);
                let allowed = matches!(after, Some(Charge::Allowed { .. }));
                prop_assert!(allowed, "waiting it out must admit");
                let mut early = buckets.clone();
                let before = charge(&mut early, now + retry_after_ms - 1, cost);
                let denied = matches!(before, Some(Charge::Denied { .. }));
                prop_assert!(denied, "a millisecond less must not");
                prop_assert!(view.reset_s * 1000 >= retry_after_ms, "the headers must not say less");
            }
        }
    }

    #[test]
    fn callers_at_one_instant_share_exactly_one_burst(
        tier in prop::sample::select(Tier::ALL),
        plan in prop::sample::select(Plan::ALL),
        scale in 0.001_f64..10.0,
    ) {
        let limits = Limits::default().scaled(scale).expect("a scale");
        let [principal, ..] = limits.buckets(tier, plan);
        let mut bucket = Gcra::default();
        let all = 0..principal.burst + 100;
        let admitted = all.filter(|_| matches!(bucket.take(&principal, START_MS, 1), Take::Allowed { .. })).count();
        prop_assert_eq!(admitted as u64, principal.burst);
    }
}
