//! Vector clocks: what a write had seen of each client's mutations.
//!
//! In scope: comparing, pruning, joining. Out of scope: order, which comes from the epoch alone, and whether an entry is true:
//! the database holds every entry against the client's last mutation.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The most clients a vector clock may name.
pub const MAX_CLOCK: usize = 256;

/// How two writes stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Causality {
    /// The first had not seen what the second had, and nothing else.
    Before,
    /// Both had seen the same.
    Equal,
    /// The first had seen all that the second had, and more.
    After,
    /// Each had seen what the other had not.
    Concurrent,
}

/// The newest mutation seen of each client; a client that is not named was not seen (0).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Clock(BTreeMap<String, i64>);

impl Clock {
    /// The clock with these entries.
    pub fn new(entries: impl IntoIterator<Item = (String, i64)>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// The newest mutation seen of this client; 0: none.
    #[must_use]
    pub fn seen(&self, client: &str) -> i64 {
        self.0.get(client).copied().unwrap_or(0)
    }

    /// Whether it names nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many clients it names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The clients and what was seen of them.
    pub fn entries(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(client, count)| (client.as_str(), *count))
    }

    /// How the write of this clock stands to the write of the other.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Causality {
        let behind = |one: &Self, two: &Self| one.entries().any(|(client, count)| count > two.seen(client));
        match (behind(self, other), behind(other, self)) {
            (false, false) => Causality::Equal,
            (false, true) => Causality::Before,
            (true, false) => Causality::After,
            (true, true) => Causality::Concurrent,
        }
    }

    /// Without the clients that the database has forgotten: nobody can say any more what was seen of them.
    #[must_use]
    pub fn pruned(&self, forgotten: &BTreeSet<&str>) -> Self {
        let kept = self.entries().filter(|(client, _)| !forgotten.contains(client));
        Self(kept.map(|(client, count)| (client.to_owned(), count)).collect())
    }

    /// The clock of a write that has both in it. Above [`MAX_CLOCK`] clients what `other` alone names is left out: a clock
    /// that says less makes a later write concurrent, never an earlier one causal.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let mut joined = self.clone();
        for (client, count) in other.entries() {
            if joined.len() < MAX_CLOCK || joined.0.contains_key(client) {
                let entry = joined.0.entry(client.to_owned()).or_default();
                *entry = count.max(*entry);
            }
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(text: &str) -> Clock {
        serde_json::from_str(text).expect("a clock")
    }

    #[test]
    fn a_missing_entry_is_nothing_seen() {
        for (one, other, expected) in [
            (r"{}", r#"{"a":0}"#, Causality::Equal),
            (r#"{"a":1}"#, r#"{"a":1}"#, Causality::Equal),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#, Causality::Before),
            (r#"{"a":2,"b":1}"#, r#"{"a":1}"#, Causality::After),
            (r#"{"a":2}"#, r#"{"b":1}"#, Causality::Concurrent),
        ] {
            assert_eq!(clock(one).compare(&clock(other)), expected, "{one} {other}");
        }
    }

    #[test]
    fn a_joined_clock_stays_within_bounds() {
        let many = Clock::new((0..300).map(|n| (format!("c{n}"), n)));
        let own = clock(r#"{"me":7,"c5":2}"#);
        let joined = own.joined(&many);
        assert_eq!((joined.len(), joined.seen("me"), joined.seen("c5")), (MAX_CLOCK, 7, 5));
    }
}
