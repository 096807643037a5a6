"""Reads OpenMetrics on stdin with Prometheus' own strict parser, and fails unless it holds what an operator looks for."""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

# A family without samples parses too: these must have some after any request.
NEEDED = {
    "drey_requests",
    "drey_request_duration_seconds",
    "drey_request_gate_hops",
    "drey_refusals",
    "drey_cache_lookups",
    "drey_lease_tokens",
    "drey_neon_round_trips",
    "drey_isolates",
    "drey_isolate_requests",
    "drey_isolate_memory_bytes",
    "drey_presence_sockets",
    "drey_tenant_requests",
}

families = list(text_string_to_metric_families(sys.stdin.read()))
samples = {family.name: len(family.samples) for family in families}
missing = sorted(name for name in NEEDED if not samples.get(name))
print(f"drey: prometheus_client read {len(samples)} families with {sum(samples.values())} samples from /metrics")
if missing:
    sys.exit(f"drey: /metrics has no samples of {', '.join(missing)}")
