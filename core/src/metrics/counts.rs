//! What an isolate counts between two reports. Names are made when it reports, not while somebody waits.

use std::collections::BTreeMap;

use super::family::{
    CACHE, DURATION, Family, GATE_HOPS, HOPS, LATENCY_MS, LEASE_TOKENS, LIMITED, REFUSALS, RENEWALS, REQUESTS, RETRIES,
    ROUND_TRIPS, SHADOWED,
};
use super::sketch::Sketch;
use super::totals::Delta;

/// Policies are few; whoever could make up names of them must not fill the memory.
const MOST_POLICIES: usize = 100;

/// One answered request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'a> {
    /// The row's method; empty where no row was found.
    pub method: &'static str,
    /// The row's path; empty where no row was found.
    pub route: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The plan of the tenant, where the caller was admitted to one.
    pub plan: Option<&'static str>,
    /// The tenant he was admitted to.
    pub tenant: Option<&'a str>,
    /// Which level of the caches answered, or `miss`; none where no copy may answer.
    pub level: Option<&'static str>,
    /// The code of the problem.
    pub code: Option<&'static str>,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// Hops it waited for.
    pub gate_hops: u32,
}

/// Sums that an isolate keeps elsewhere, each since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Tokens of leases that were granted.
    pub granted: u64,
    /// Of those, spent.
    pub spent: u64,
    /// Of those, lost: their time was over.
    pub expired: u64,
    /// Hops that renewed leases beside requests.
    pub renewals: u64,
    /// HTTP calls to Neon.
    pub round_trips: u64,
    /// Of those, repetitions.
    pub retries: u64,
}

#[derive(Clone, Debug, Default)]
struct Histogram {
    /// By the bound's place; the last is above all bounds.
    buckets: Vec<u64>,
    sum: u64,
}

impl Histogram {
    fn observe(&mut self, bounds: &[u64], value: u64) {
        self.buckets.resize(bounds.len() + 1, 0);
        let at = bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
        self.sum = self.sum.saturating_add(value);
    }

    fn write(&self, family: &Family, bounds: &[u64], labels: &[&str], into: &mut BTreeMap<String, u64>) {
        let names = bounds.iter().map(u64::to_string).chain(["inf".to_owned()]);
        let sum = std::iter::once(("sum".to_owned(), &self.sum));
        for (name, count) in names.zip(&self.buckets).chain(sum).filter(|(_, count)| **count > 0) {
            into.insert(family.series(&[labels, &[name.as_str()]].concat()), *count);
        }
    }
}

/// Counts by policy.
#[derive(Clone, Debug, Default)]
struct Policies(BTreeMap<String, u64>);

impl Policies {
    fn count(&mut self, policy: &str) {
        if let Some(known) = self.0.get_mut(policy) {
            *known += 1;
        } else if self.0.len() < MOST_POLICIES {
            self.0.insert(policy.to_owned(), 1);
        }
    }
}

/// An isolate's counts since its last report.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    requests: u64,
    by_kind: BTreeMap<[&'static str; 4], u64>,
    durations: BTreeMap<[&'static str; 2], Histogram>,
    hops: Histogram,
    limited: Policies,
    shadowed: Policies,
    codes: BTreeMap<&'static str, u64>,
    levels: BTreeMap<&'static str, u64>,
    tenants: Sketch,
    reported: Running,
}

/// The word for what there is none of.
const NONE: &str = "none";

impl Counts {
    /// Counts an answered request.
    pub fn see(&mut self, seen: &Seen<'_>) {
        let word = |word: &'static str| if word.is_empty() { NONE } else { word };
        let row = [word(seen.method), word(seen.route)];
        let [method, route] = row;
        self.requests += 1;
        *self.by_kind.entry([method, route, class(seen.status), seen.plan.unwrap_or(NONE)]).or_default() += 1;
        self.durations.entry(row).or_default().observe(LATENCY_MS, seen.ms);
        self.hops.observe(HOPS, u64::from(seen.gate_hops) * 1_000);
        for (word, counts) in [(seen.code, &mut self.codes), (seen.level, &mut self.levels)] {
            if let Some(word) = word {
                *counts.entry(word).or_default() += 1;
            }
        }
        if let Some(tenant) = seen.tenant {
            self.tenants.add(tenant, 1);
        }
    }

    /// Counts a refusal by one of the policies that were exceeded.
    pub fn limited(&mut self, policy: &str) {
        self.limited.count(policy);
    }

    /// Counts a request that a policy in shadow would have refused.
    pub fn shadowed(&mut self, policy: &str) {
        self.shadowed.count(policy);
    }

    /// Takes everything out for a report.
    pub fn take(&mut self, isolate: &str, sequence: u64, running: Running) -> Delta {
        let reported = self.reported;
        let counts = std::mem::replace(self, Self { reported: running, ..Self::default() });
        let mut series = BTreeMap::new();
        let mut put = |family: &Family, values: &[&str], count: u64| {
            if count > 0 {
                series.insert(family.series(values), count);
            }
        };
        counts.by_kind.iter().for_each(|(values, count)| put(&REQUESTS, values, *count));
        counts.limited.0.iter().for_each(|(policy, count)| put(&LIMITED, &[policy], *count));
        counts.shadowed.0.iter().for_each(|(policy, count)| put(&SHADOWED, &[policy], *count));
        counts.codes.iter().for_each(|(code, count)| put(&REFUSALS, &[code], *count));
        counts.levels.iter().for_each(|(level, count)| put(&CACHE, &[level], *count));
        put(&LEASE_TOKENS, &["granted"], running.granted.saturating_sub(reported.granted));
        put(&LEASE_TOKENS, &["spent"], running.spent.saturating_sub(reported.spent));
        put(&LEASE_TOKENS, &["expired"], running.expired.saturating_sub(reported.expired));
        put(&RENEWALS, &[], running.renewals.saturating_sub(reported.renewals));
        put(&ROUND_TRIPS, &[], running.round_trips.saturating_sub(reported.round_trips));
        put(&RETRIES, &[], running.retries.saturating_sub(reported.retries));
        counts.durations.iter().for_each(|(row, times)| times.write(&DURATION, LATENCY_MS, row, &mut series));
        counts.hops.write(&GATE_HOPS, HOPS, &[], &mut series);
        Delta { isolate: isolate.to_owned(), sequence, requests: counts.requests, series, tenants: counts.tenants }
    }
}

const fn class(status: u16) -> &'static str {
    match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
