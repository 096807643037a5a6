//! The text: `OpenMetrics` 1.0 (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).

use std::collections::BTreeMap;
use std::fmt::Write;

use super::family::{
    ALL, Family, ISOLATE_CONNECTIONS, ISOLATE_IN_FLIGHT, ISOLATE_MEMORY, ISOLATE_REQUESTS, ISOLATES, Kind, SEPARATOR,
    SOCKETS, TENANTS,
};
use super::totals::{Isolate, Totals};

/// An isolate that has not reported for so long is not shown.
const SILENT_MS: u64 = 60_000;
/// The most isolates shown, the last heard first.
const MOST_SHOWN: usize = 100;
/// The most tenants shown.
const MOST_TENANTS: usize = 10;
/// Values of the bounds and of sums are in thousandths.
const THOUSAND: u64 = 1_000;

impl Totals {
    /// The whole text, `# EOF` included. A series that no family knows (of another version) is left out.
    #[must_use]
    pub fn text(&self, now_ms: u64) -> String {
        let mut text = String::new();
        let gauges = self.gauges(now_ms);
        for family in ALL {
            head(&mut text, family);
            match family.kind {
                Kind::Histogram(bounds) => self.histogram(&mut text, family, bounds),
                Kind::Counter | Kind::Gauge => {
                    let stored = self.of(family).map(|(values, count)| (values, *count));
                    let now = gauges.iter().filter(|(name, ..)| *name == family.name);
                    let now = now.map(|(_, values, count)| (values.iter().map(String::as_str).collect(), *count));
                    for (values, count) in stored.chain(now) {
                        sample(&mut text, family, suffix(family.kind), &values, None, &count.to_string());
                    }
                }
            }
        }
        text.push_str("# EOF\n");
        text
    }

    /// The series of a family with as many values as it has labels; a histogram's have one more, the bound.
    fn of<'a>(&'a self, family: &'a Family) -> impl Iterator<Item = (Vec<&'a str>, &'a u64)> {
        let more = usize::from(matches!(family.kind, Kind::Histogram(_)));
        self.series.iter().filter_map(move |(name, count)| {
            let mut parts = name.split(SEPARATOR);
            let values = (parts.next() == Some(family.name)).then(|| parts.collect::<Vec<_>>())?;
            (values.len() == family.labels.len() + more).then_some((values, count))
        })
    }

    fn histogram(&self, text: &mut String, family: &Family, bounds: &[u64]) {
        let mut each: BTreeMap<Vec<&str>, BTreeMap<&str, u64>> = BTreeMap::new();
        for (mut values, count) in self.of(family) {
            let Some(bound) = values.pop() else { continue };
            each.entry(values).or_default().insert(bound, *count);
        }
        for (values, counts) in each {
            let count_of = |bound: &str| counts.get(bound).copied().unwrap_or_default();
            let mut so_far = 0;
            for bound in bounds {
                so_far += count_of(&bound.to_string());
                sample(text, family, "_bucket", &values, Some(&thousandths(*bound)), &so_far.to_string());
            }
            let all = (so_far + count_of("inf")).to_string();
            sample(text, family, "_bucket", &values, Some("+Inf"), &all);
            sample(text, family, "_count", &values, None, &all);
            sample(text, family, "_sum", &values, None, &thousandths(count_of("sum")));
        }
    }

    /// What is not a sum of deltas: isolates, sockets, the busiest tenants.
    fn gauges(&self, now_ms: u64) -> Vec<(&'static str, Vec<String>, u64)> {
        let shown = self.shown(now_ms);
        let count = |isolates: usize| u64::try_from(isolates).unwrap_or(u64::MAX);
        let mut all = vec![
            (ISOLATES.name, Vec::new(), count(self.heard(now_ms).count())),
            (SOCKETS.name, Vec::new(), self.sockets(now_ms)),
        ];
        for (name, isolate) in shown {
            let levels = isolate.levels;
            let values = [
                (ISOLATE_REQUESTS.name, isolate.requests),
                (ISOLATE_MEMORY.name, levels.memory_bytes),
                (ISOLATE_IN_FLIGHT.name, levels.in_flight),
                (ISOLATE_CONNECTIONS.name, levels.connections),
            ];
            all.extend(values.map(|(family, value)| (family, vec![name.to_owned()], value)));
        }
        let busiest = self.busiest(MOST_TENANTS);
        all.extend(busiest.into_iter().map(|(tenant, count)| (TENANTS.name, vec![tenant.to_owned()], count)));
        all
    }

    fn heard(&self, now_ms: u64) -> impl Iterator<Item = (&str, &Isolate)> {
        let heard =
            self.isolates.iter().filter(move |(_, isolate)| isolate.heard_ms.saturating_add(SILENT_MS) > now_ms);
        heard.map(|(name, isolate)| (name.as_str(), isolate))
    }

    fn shown(&self, now_ms: u64) -> Vec<(&str, &Isolate)> {
        let mut heard: Vec<_> = self.heard(now_ms).collect();
        heard.sort_by_key(|(_, isolate)| std::cmp::Reverse(isolate.heard_ms));
        heard.truncate(MOST_SHOWN);
        heard
    }
}

fn head(text: &mut String, family: &Family) {
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Histogram(_) => "histogram",
        Kind::Gauge => "gauge",
    };
    // Writing to a String does not fail.
    let _ = writeln!(text, "# TYPE drey_{} {kind}", family.name);
    if !family.unit.is_empty() {
        let _ = writeln!(text, "# UNIT drey_{} {}", family.name, family.unit);
    }
    let _ = writeln!(text, "# HELP drey_{} {}", family.name, family.help);
}

const fn suffix(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "_total",
        Kind::Histogram(_) | Kind::Gauge => "",
    }
}

fn sample(text: &mut String, family: &Family, suffix: &str, values: &[&str], bound: Option<&str>, value: &str) {
    let labels = family.labels.iter().copied().zip(values.iter().copied()).chain(bound.map(|bound| ("le", bound)));
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(text, "drey_{}{suffix}{labels} {value}", family.name);
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A number of thousandths as `OpenMetrics` wants bounds: always with a point, without needless zeros.
fn thousandths(value: u64) -> String {
    let (whole, rest) = (value / THOUSAND, format!("{:03}", value % THOUSAND));
    let rest = rest.trim_end_matches('0');
    format!("{whole}.{}", if rest.is_empty() { "0" } else { rest })
}

#[cfg(test)]
mod tests {
    use super::super::{Counts, Levels, RoomReport, Running, Seen, Sketch, Totals};
    use crate::id::WorkspaceId;

    const START_MS: u64 = 1_795_000_000_000;

    fn seen() -> Seen<'static> {
        Seen {
            method: "GET",
            route: "/v1/me",
            status: 200,
            plan: Some("free"),
            tenant: Some("ws_1"),
            level: Some("memory"),
            ms: 7,
            gate_hops: 1,
            ..Seen::default()
        }
    }

    fn room(room: &str, sockets: u64) -> RoomReport {
        RoomReport { room: room.to_owned(), sockets, workspace: None, alarms: 0 }
    }

    fn totals() -> Totals {
        let mut counts = Counts::default();
        counts.see(&seen());
        counts.see(&Seen {
            status: 429,
            plan: None,
            tenant: None,
            level: None,
            code: Some("rate-limited"),
            ms: 20_000,
            ..seen()
        });
        counts.limited("standard \"x\\");
        let running = Running { granted: 9, spent: 4, expired: 2, renewals: 5, round_trips: 3, retries: 0 };
        let delta = counts.take("0a1b", 1, running);
        let mut totals = Totals::default();
        assert!(totals.take(&delta, Levels { memory_bytes: 65_536, in_flight: 1, connections: 2 }, START_MS));
        assert!(!totals.take(&delta, Levels { memory_bytes: 65_536, in_flight: 1, connections: 2 }, START_MS));
        assert!(totals.room(RoomReport { alarms: 2, ..room("room", 3) }, START_MS));
        totals
    }

    #[test]
    fn the_text_tells_everything_once() {
        let text = totals().text(START_MS + 1);
        for line in [
            "# TYPE drey_requests counter",
            "# UNIT drey_request_duration_seconds seconds",
            "drey_requests_total{method=\"GET\",route=\"/v1/me\",status=\"2xx\",plan=\"free\"} 1",
            "drey_requests_total{method=\"GET\",route=\"/v1/me\",status=\"4xx\",plan=\"none\"} 1",
            "drey_request_duration_seconds_bucket{method=\"GET\",route=\"/v1/me\",le=\"0.005\"} 0",
            "drey_request_duration_seconds_bucket{method=\"GET\",route=\"/v1/me\",le=\"0.01\"} 1",
            "drey_request_duration_seconds_bucket{method=\"GET\",route=\"/v1/me\",le=\"10.0\"} 1",
            "drey_request_duration_seconds_bucket{method=\"GET\",route=\"/v1/me\",le=\"+Inf\"} 2",
            "drey_request_duration_seconds_count{method=\"GET\",route=\"/v1/me\"} 2",
            "drey_request_duration_seconds_sum{method=\"GET\",route=\"/v1/me\"} 20.007",
            "drey_request_gate_hops_bucket{le=\"1.0\"} 2",
            "drey_request_gate_hops_sum 2.0",
            "drey_limited_total{policy=\"standard \\\"x\\\\\"} 1",
            "drey_refusals_total{code=\"rate-limited\"} 1",
            "drey_cache_lookups_total{level=\"memory\"} 1",
            "drey_lease_tokens_total{event=\"expired\"} 2",
            "drey_gate_renewals_total 5",
            "drey_neon_round_trips_total 3",
            "drey_isolates 1",
            "drey_isolate_requests_total{isolate=\"0a1b\"} 2",
            "drey_isolate_memory_bytes{isolate=\"0a1b\"} 65536",
            "drey_isolate_neon_connections{isolate=\"0a1b\"} 2",
            "drey_presence_sockets 3",
            "drey_presence_alarms_total 2",
            "drey_tenant_requests{tenant=\"ws_1\"} 1",
        ] {
            assert_eq!(text.lines().filter(|other| *other == line).count(), 1, "{line}\n{text}");
        }
        assert!(text.ends_with("\n# EOF\n"));
    }

    #[test]
    fn isolates_and_rooms_that_are_silent_are_gone() {
        let totals = totals();
        assert!(!totals.text(START_MS + 60_000).contains("0a1b"));
        assert_eq!((totals.sockets(START_MS + 179_999), totals.sockets(START_MS + 180_000)), (3, 0));
    }

    #[test]
    fn rooms_are_listed_by_workspace_page_by_page() {
        let workspace = |n| WorkspaceId::from_uuid(uuid::Uuid::from_u128(n));
        let mut totals = totals();
        for (name, of, sockets) in [("a", 2, 2), ("b", 1, 1), ("c", 2, 2), ("d", 3, 3)] {
            totals.room(RoomReport { workspace: Some(workspace(of)), ..room(name, sockets) }, START_MS);
        }
        totals.room(RoomReport { workspace: Some(workspace(3)), ..room("d", 0) }, START_MS);
        assert_eq!(totals.occupied(None, 1, START_MS), [(workspace(1), 1)]);
        assert_eq!(totals.occupied(Some(workspace(1)), 9, START_MS), [(workspace(2), 4)]);
        assert_eq!(totals.occupied(None, 9, START_MS + 180_000), []);
    }

    #[test]
    fn who_was_busy_long_ago_makes_room() {
        let mut totals = totals();
        let mut counts = Counts::default();
        (0..3).for_each(|_| counts.see(&Seen { tenant: Some("ws_2"), ..seen() }));
        totals.take(&counts.take("other", 1, Running::default()), Levels::default(), START_MS + 2 * 3_600_000);
        assert_eq!(totals.busiest(10), vec![("ws_2", 3)]);
    }

    /// The sums of a deployment are found by these after the next.
    #[test]
    fn the_stored_form_is_fixed() {
        let mut totals = Totals::default();
        let mut counts = Counts::default();
        counts.see(&Seen { level: None, ..seen() });
        let delta = counts.take("0a1b", 1, Running::default());
        let sent = r#"{"isolate":"0a1b","sequence":1,"requests":1,"series":{"request_duration_seconds|GET|/v1/me|10":1,"request_duration_seconds|GET|/v1/me|sum":7,"request_gate_hops|1000":1,"request_gate_hops|sum":1000,"requests|GET|/v1/me|2xx|free":1},"tenants":{"ws_1":1}}"#;
        assert_eq!(serde_json::to_string(&delta).expect("json"), sent);
        totals.take(
            &super::super::Delta { series: [("a".to_owned(), 1)].into(), ..delta },
            Levels::default(),
            7_200_000,
        );
        let stored = r#"{"series":{"a":1},"tenants":{"ws_1":1},"isolates":{"0a1b":{"sequence":1,"requests":1,"levels":{"memory_bytes":0,"in_flight":0,"connections":0},"heard_ms":7200000}},"hour":2}"#;
        assert_eq!(serde_json::to_string(&totals).expect("json"), stored);
        assert_eq!(serde_json::from_str::<Totals>(stored).expect("totals"), totals);
        assert!(Sketch::default().is_empty());
    }
}
