//! The catalogue: every family with its labels and what it means.

/// What the numbers of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows.
    Counter,
    /// How many observations were at most each bound; in thousandths of the unit that is shown.
    Histogram(&'static [u64]),
    /// Is what it is now.
    Gauge,
}

/// A family of series.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name without `drey_` and `_total`; pinned: sums are stored under it.
    pub name: &'static str,
    /// What its numbers are.
    pub kind: Kind,
    /// The names of its labels, in the order of a series' values.
    pub labels: &'static [&'static str],
    /// The unit, which the name ends with; empty for plain counts.
    pub unit: &'static str,
    /// What it means.
    pub help: &'static str,
}

/// Milliseconds: a copy answers within the first, the deadline is the last.
pub(super) const LATENCY_MS: &[u64] = &[5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];
/// Thousandths of hops.
pub(super) const HOPS: &[u64] = &[0, 1_000, 2_000];

const fn family(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, labels, unit: "", help }
}

const fn of_unit(unit: &'static str, family: Family) -> Family {
    Family { unit, ..family }
}

pub(super) const REQUESTS: Family =
    family("requests", Kind::Counter, &["method", "route", "status", "plan"], "Requests answered.");
pub(super) const DURATION: Family = of_unit(
    "seconds",
    family(
        "request_duration_seconds",
        Kind::Histogram(LATENCY_MS),
        &["method", "route"],
        "From a request's arrival to its answer.",
    ),
);
pub(super) const GATE_HOPS: Family =
    family("request_gate_hops", Kind::Histogram(HOPS), &[], "Hops to gates that a request waited for.");
pub(super) const RENEWALS: Family =
    family("gate_renewals", Kind::Counter, &[], "Hops to gates that no request waited for: they renew leases.");
pub(super) const LIMITED: Family =
    family("limited", Kind::Counter, &["policy"], "Requests refused, by the policy that was exceeded.");
pub(super) const SHADOWED: Family = family(
    "shadow_refusals",
    Kind::Counter,
    &["policy"],
    "Requests let in that a policy in shadow would have refused, by that policy.",
);
pub(super) const REFUSALS: Family =
    family("refusals", Kind::Counter, &["code"], "Problems answered; overloaded is what was shed.");
pub(super) const CACHE: Family =
    family("cache_lookups", Kind::Counter, &["level"], "Reads that a copy may answer, by the level that did, or miss.");
pub(super) const LEASE_TOKENS: Family =
    family("lease_tokens", Kind::Counter, &["event"], "Calls that gates paid for ahead: granted, spent, expired.");
pub(super) const ROUND_TRIPS: Family =
    family("neon_round_trips", Kind::Counter, &[], "HTTP calls of isolates and gates to Neon, repeated ones included.");
pub(super) const RETRIES: Family =
    family("neon_retries", Kind::Counter, &[], "HTTP calls to Neon that repeated one that had failed.");
pub(super) const ISOLATES: Family = family("isolates", Kind::Gauge, &[], "Isolates heard from within a minute.");
pub(super) const ISOLATE_REQUESTS: Family = family(
    "isolate_requests",
    Kind::Counter,
    &["isolate"],
    "Requests answered by an isolate heard from within a minute.",
);
pub(super) const ISOLATE_MEMORY: Family = of_unit(
    "bytes",
    family("isolate_memory_bytes", Kind::Gauge, &["isolate"], "WebAssembly memory of an isolate; it never shrinks."),
);
pub(super) const ISOLATE_IN_FLIGHT: Family =
    family("isolate_requests_in_flight", Kind::Gauge, &["isolate"], "Requests under way when the isolate reported.");
pub(super) const ISOLATE_CONNECTIONS: Family = family(
    "isolate_neon_connections",
    Kind::Gauge,
    &["isolate"],
    "The most calls to Neon that an isolate had open at once since its last report.",
);
pub(super) const SOCKETS: Family = family("presence_sockets", Kind::Gauge, &[], "Open WebSockets of rooms.");
pub(super) const ROOM_ALARMS: Family =
    family("presence_alarms", Kind::Counter, &[], "Alarms of rooms: what rooms cost in which nothing happens.");
pub(super) const TENANTS: Family = family(
    "tenant_requests",
    Kind::Gauge,
    &["tenant"],
    "Requests of the ten busiest tenants, halved with each hour; an upper bound, too high by 1/200 of all at most.",
);

/// Every family, in the order of the text.
pub(super) static ALL: &[Family] = &[
    REQUESTS,
    DURATION,
    GATE_HOPS,
    RENEWALS,
    LIMITED,
    SHADOWED,
    REFUSALS,
    CACHE,
    LEASE_TOKENS,
    ROUND_TRIPS,
    RETRIES,
    ISOLATES,
    ISOLATE_REQUESTS,
    ISOLATE_MEMORY,
    ISOLATE_IN_FLIGHT,
    ISOLATE_CONNECTIONS,
    SOCKETS,
    ROOM_ALARMS,
    TENANTS,
];

/// The separator of a stored series: no path, plan or code holds it.
pub(super) const SEPARATOR: char = '|';

impl Family {
    /// The name of a series between isolates and the sums: pinned, because sums are stored under it.
    pub(super) fn series(&self, values: &[&str]) -> String {
        let mut series = self.name.to_owned();
        for value in values {
            series.push(SEPARATOR);
            series.push_str(value);
        }
        series
    }
}
