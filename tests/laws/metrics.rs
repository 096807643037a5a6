//! Metrics: in whatever order and however often reports come, the sums are the same, and who is busy is never missing.

use std::collections::BTreeMap;

use drey_core::metrics::{Counts, Delta, Levels, Running, Seen, Sketch, Totals};
use proptest::prelude::*;

const NOW_MS: u64 = 1_795_000_000_000;
const ROUTES: [&str; 3] = ["/v1/me", "/v1/orgs", "/v1/orgs/{org}"];

fn delta(isolate: usize, sequence: u64, calls: &[(usize, u16, u64)]) -> Delta {
    let mut counts = Counts::default();
    for (route, status, ms) in calls {
        counts.see(&Seen { method: "GET", route: ROUTES[*route], status: *status, ms: *ms, ..Seen::default() });
    }
    counts.take(&format!("isolate-{isolate}"), sequence, Running::default())
}

fn calls() -> impl Strategy<Value = Vec<(usize, u16, u64)>> {
    prop::collection::vec((0..3_usize, prop::sample::select(vec![200, 304, 404, 429, 503]), 0..20_000_u64), 0..20)
}

fn summed<'a>(deltas: impl IntoIterator<Item = &'a Delta>) -> Totals {
    let mut totals = Totals::default();
    for delta in deltas {
        totals.take(delta, Levels::default(), NOW_MS);
    }
    totals
}

proptest! {
    #[test]
    fn the_order_of_isolates_changes_nothing(each in prop::collection::vec(calls(), 1..8), by in 0..8_usize) {
        let deltas: Vec<Delta> = each.iter().enumerate().map(|(n, calls)| delta(n, 1, calls)).collect();
        let mut turned = deltas.clone();
        turned.rotate_left(by % deltas.len());
        prop_assert_eq!(summed(&deltas).text(NOW_MS), summed(&turned).text(NOW_MS));
        turned.reverse();
        prop_assert_eq!(summed(&deltas), summed(&turned));
    }

    #[test]
    fn two_reports_count_as_much_as_one_of_both(first in calls(), second in calls()) {
        let both: Vec<_> = first.iter().chain(&second).copied().collect();
        let apart = summed(&[delta(0, 1, &first), delta(0, 2, &second)]).text(NOW_MS);
        prop_assert_eq!(apart, summed(&[delta(0, 1, &both)]).text(NOW_MS));
    }

    #[test]
    fn a_repeated_report_counts_once_also_after_a_restart(each in prop::collection::vec(calls(), 1..6), times in 1..4_usize) {
        let deltas: Vec<Delta> = (1..).zip(&each).map(|(sequence, calls)| delta(0, sequence, calls)).collect();
        let mut totals = Totals::default();
        for delta in &deltas {
            for _ in 0..times {
                totals.take(delta, Levels::default(), NOW_MS);
                let stored = serde_json::to_string(&totals).expect("json");
                totals = serde_json::from_str(&stored).expect("totals");
            }
        }
        prop_assert_eq!(&totals, &summed(&deltas));
        let requests: usize = each.iter().map(Vec::len).sum();
        let counted: u64 = totals.text(NOW_MS).lines()
            .filter(|line| line.starts_with("drey_requests_total"))
            .map(|line| line.rsplit(' ').next().expect("value").parse::<u64>().expect("number"))
            .sum();
        prop_assert_eq!(counted, requests as u64);
    }

    #[test]
    fn buckets_only_grow_and_the_last_is_the_count(calls in calls()) {
        let text = summed(&[delta(0, 1, &calls)]).text(NOW_MS);
        let mut before: BTreeMap<String, u64> = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("drey_request_duration_seconds_bucket")) {
            let (labels, value) = line.rsplit_once(' ').expect("value");
            let row = labels.rsplit_once(",le=").expect("bound").0.to_owned();
            let value: u64 = value.parse().expect("number");
            prop_assert!(before.insert(row, value).is_none_or(|before| before <= value));
        }
        prop_assert_eq!(before.values().sum::<u64>(), calls.len() as u64);
    }

}

proptest! {
    // A case is some thousand calls.
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Tenants are counted in an isolate's table and then in that of the sums.
    #[test]
    fn a_tenant_of_more_than_a_200th_is_never_missing(
        crowd in 500..2_000_u64,
        isolates in 1..4_usize,
        order in prop::collection::vec(0..2_000_u64, 2_000..4_000),
    ) {
        let mut real: BTreeMap<String, u64> = BTreeMap::new();
        let mut tables = vec![Sketch::default(); isolates];
        for (at, number) in order.iter().enumerate() {
            // One in seven calls is of a few busy ones, the others are of anybody.
            let tenant = if number % 7 == 0 { format!("busy-{}", number % 5) } else { format!("ws-{}", number % crowd) };
            tables[at % isolates].add(&tenant, 1);
            *real.entry(tenant).or_default() += 1;
        }
        let mut all = Sketch::default();
        for table in &tables {
            all.merge(table);
        }
        let shown: BTreeMap<&str, u64> = all.top(usize::MAX).into_iter().collect();
        prop_assert!(shown.len() <= 400);
        let total = order.len() as u64;
        for (tenant, count) in real.iter().filter(|(_, count)| **count * 200 > total) {
            prop_assert!(shown.get(tenant.as_str()).is_some_and(|shown| shown + total / 400 >= *count), "{tenant}");
        }
        prop_assert!(shown.values().sum::<u64>() == total);
    }
}
