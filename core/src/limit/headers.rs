//! What a caller sees of his limits.
//!
//! In scope: the draft's structured fields (draft-ietf-httpapi-ratelimit-headers-10) and the two common families of
//! `x-` headers. Out of scope: `Retry-After`, which the problem carries.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

/// One policy and where the caller stands in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// The policy's name, such as `standard` or `standard-workspace`; shared, because every call that is let in shows it.
    pub policy: Rc<str>,
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

/// The headers of a tier's policy, and of the day's quota where one was charged. Names are in lower case.
///
/// The `x-` families have room for one policy: the one with fewer requests left.
#[must_use]
pub fn headers(view: &LimitView, daily: Option<&LimitView>) -> Vec<(&'static str, String)> {
    let both = std::iter::once(view).chain(daily);
    let (policies, states): (Vec<_>, Vec<_>) = both.map(|view| (view.item_of_policy(), view.item_of_state())).unzip();
    let LimitView { limit, remaining, reset_s, .. } =
        daily.filter(|day| day.remaining < view.remaining).unwrap_or(view);
    vec![
        ("ratelimit-policy", policies.join(", ")),
        ("ratelimit", states.join(", ")),
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", remaining.to_string()),
        ("x-ratelimit-reset", reset_s.to_string()),
        ("x-rate-limit-limit", limit.to_string()),
        ("x-rate-limit-remaining", remaining.to_string()),
        ("x-rate-limit-reset", reset_s.to_string()),
    ]
}

impl LimitView {
    fn item_of_policy(&self) -> String {
        format!("\"{}\";q={};w={}", self.policy, self.limit, self.window_s)
    }

    fn item_of_state(&self) -> String {
        format!("\"{}\";r={};t={}", self.policy, self.remaining, self.reset_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_say_the_same() {
        let view = LimitView { policy: "standard".into(), limit: 100, window_s: 60, remaining: 50, reset_s: 30 };
        let lines: Vec<String> =
            headers(&view, None).into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
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

    #[test]
    fn the_day_stands_beside_the_tier_and_shows_when_it_is_nearer_its_end() {
        let view = LimitView { policy: "standard".into(), limit: 100, window_s: 60, remaining: 50, reset_s: 30 };
        let day =
            |remaining| LimitView { policy: "daily".into(), limit: 1000, window_s: 86_400, remaining, reset_s: 3600 };
        let lines = |remaining| {
            headers(&view, Some(&day(remaining))).into_iter().take(4).map(|(_, value)| value).collect::<Vec<_>>()
        };
        let policies = "\"standard\";q=100;w=60, \"daily\";q=1000;w=86400";
        assert_eq!(lines(900), [policies, "\"standard\";r=50;t=30, \"daily\";r=900;t=3600", "100", "50"]);
        assert_eq!(lines(49), [policies, "\"standard\";r=50;t=30, \"daily\";r=49;t=3600", "1000", "49"]);
    }
}
