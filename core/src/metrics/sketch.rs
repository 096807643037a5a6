//! The busiest of many, in a bounded table: Space-Saving (Metwally, Agrawal, El Abbadi, 2005).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Each table may miss a name of at most a 400th of what it counted. Names go through two (an isolate's and the sums'), so
/// that whoever has more than a 200th of all is never missing.
const MOST: usize = 400;

/// Counts by name, for the most frequent names. A count is never too low.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sketch(BTreeMap<String, u64>);

impl Sketch {
    /// Counts. A name that is not in a full table takes the place, and the count, of the least.
    pub fn add(&mut self, name: &str, count: u64) {
        if count == 0 {
            return;
        }
        if let Some(known) = self.0.get_mut(name) {
            *known = known.saturating_add(count);
            return;
        }
        let inherited = if self.0.len() < MOST { 0 } else { self.evict() };
        self.0.insert(name.to_owned(), inherited.saturating_add(count));
    }

    fn evict(&mut self) -> u64 {
        let least = self.0.iter().min_by_key(|(_, count)| **count).map(|(name, _)| name.clone());
        least.and_then(|name| self.0.remove(&name)).unwrap_or_default()
    }

    /// Counts what another table counted.
    pub fn merge(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            self.add(name, *count);
        }
    }

    /// Lets the past count for half.
    pub fn halve(&mut self) {
        self.0.retain(|_, count| {
            *count /= 2;
            *count > 0
        });
    }

    /// The most frequent, the first first; of equals the lesser name.
    #[must_use]
    pub fn top(&self, most: usize) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = self.0.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(most);
        all
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
