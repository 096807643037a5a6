//! What a caller sees of his limits.
//!
//! In scope: the draft's structured fields (draft-ietf-httpapi-ratelimit-headers-10) and the two common families of
//! `x-` headers. Out of scope: `Retry-After`, which the problem carries.

use serde::{Deserialize, Serialize};

/// One policy and where the caller stands in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// The policy's name, such as `standard` or `standard-workspace`.
    pub policy: String,
    /// Requests per window.
    pub limit: u64,
    /// The window, in seconds; at least 1.
    pub window_s: u64,
    /// Requests that would pass now.
    pub remaining: u64,
    /// Seconds until all of them are back, or, of a refusal, until the next passes.
    pub reset_s: u64,
}

/// Whole seconds, rounded up: a wait in seconds is never shorter than the one in milliseconds.
#[must_use]
pub const fn seconds_up(millis: u64) -> u64 {
    millis.div_ceil(1000)
}

/// The headers of one view. Names are in lower case.
#[must_use]
pub fn headers(view: &LimitView) -> Vec<(&'static str, String)> {
    let LimitView { policy, limit, window_s, remaining, reset_s } = view;
    vec![
        ("ratelimit-policy", format!("\"{policy}\";q={limit};w={window_s}")),
        ("ratelimit", format!("\"{policy}\";r={remaining};t={reset_s}")),
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", remaining.to_string()),
        ("x-ratelimit-reset", reset_s.to_string()),
        ("x-rate-limit-limit", limit.to_string()),
        ("x-rate-limit-remaining", remaining.to_string()),
        ("x-rate-limit-reset", reset_s.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_say_the_same() {
        let view = LimitView { policy: "standard".to_owned(), limit: 100, window_s: 60, remaining: 50, reset_s: 30 };
        let lines: Vec<String> = headers(&view).into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            lines,
            [
                "ratelimit-policy: \"standard\";q=100;w=60",
                "ratelimit: \"standard\";r=50;t=30",
                "x-ratelimit-limit: 100",
                "x-ratelimit-remaining: 50",
                "x-ratelimit-reset: 30",
                "x-rate-limit-limit: 100",
                "x-rate-limit-remaining: 50",
                "x-rate-limit-reset: 30",
            ]
        );
        assert_eq!((seconds_up(0), seconds_up(1), seconds_up(1000), seconds_up(1001)), (0, 1, 1, 2));
    }
}
