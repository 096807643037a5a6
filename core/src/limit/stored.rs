//! What of a bucket survives a restart, and when it must be written.
//!
//! In scope: the mark, the stored row, the row's name. Out of scope: writing it (the gate does, before it answers).
//!
//! The mark of a bucket is never behind the bucket: before the gate admits past the stored mark it stores a later one.
//! A restart begins at the mark, so it can only admit less than a gate that never stopped.

use serde::{Deserialize, Serialize};

use super::{BucketKind, BucketSpec, Gcra, Tier};

/// A mark is stored at most this far ahead, in microseconds: one write a second for the busiest bucket.
const AHEAD_US: u64 = 1_000_000;

/// Microseconds since 1970 that a bucket's full time has not passed yet, as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(pub u64);

/// The row of a bucket. Microseconds stay below 2^53 until the year 2255, so a float may carry them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Where a restart begins.
    pub mark: Mark,
    /// Milliseconds since 1970 until which everything is refused; 0 if nothing is.
    pub block_until_ms: u64,
}

impl Gcra {
    /// The state a restart begins with.
    #[must_use]
    pub const fn from_mark(mark: Mark) -> Self {
        Self { full_at_us: mark.0 }
    }
}

/// The mark to store before an answer that rests on `gcra`; `None` while the stored one still covers it.
///
/// Strict buckets store exactly what was taken. The others store up to a second of rate ahead, but never more than the
/// bucket holds, so that a restart costs a caller at most that.
#[must_use]
pub fn mark(spec: &BucketSpec, gcra: Gcra, stored: Mark) -> Option<Mark> {
    if gcra.full_at_us <= stored.0 {
        return None;
    }
    let ahead_us = match spec.tier {
        Tier::Strict => 0,
        Tier::Standard | Tier::Relaxed | Tier::Tickets | Tier::Anonymous | Tier::SignIn => {
            AHEAD_US.min(spec.tolerance_us())
        }
    };
    Some(Mark(gcra.full_at_us.saturating_add(ahead_us)))
}

/// The name of a bucket's row: kind, tier and subject. The subject is a user's id or an address; a workspace's own bucket has none.
#[must_use]
pub fn bucket_name(kind: BucketKind, tier: Tier, subject: &str) -> String {
    format!("{kind}/{tier}/{subject}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gates find their buckets by these after a deploy: a change here opens every bucket once.
    #[test]
    fn the_stored_form_is_fixed() {
        assert_eq!(bucket_name(BucketKind::Principal, Tier::Standard, "user_1"), "principal/standard/user_1");
        assert_eq!(bucket_name(BucketKind::Address, Tier::Strict, "2001:db8::1"), "address/strict/2001:db8::1");
        assert_eq!(bucket_name(BucketKind::Workspace, Tier::Relaxed, ""), "workspace/relaxed/");
        let row = Stored { mark: Mark(1_700_000_000_000_000), block_until_ms: 1_700_000_060_000 };
        let text = r#"{"mark":1700000000000000,"block_until_ms":1700000060000}"#;
        assert_eq!(serde_json::to_string(&row).expect("json"), text);
        assert_eq!(serde_json::from_str::<Stored>(text).expect("row"), row);
    }
}
