//! The clock. In production it stands still between I/O: trust durations that span an awaited call, never CPU spans
//! (<https://developers.cloudflare.com/workers/runtime-apis/performance>).

/// Milliseconds since the Unix epoch, in one crossing.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and positive until the year 287396")]
pub fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}
