//! The clock. In production it stands still between I/O: trust durations that span an awaited call, never CPU spans
//! (<https://developers.cloudflare.com/workers/runtime-apis/performance>).

use chrono::Utc;

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default()
}
