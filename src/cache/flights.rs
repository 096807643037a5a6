//! One question is asked once: while somebody fetches an answer, the others wait a moment for his copy.
//!
//! No future is shared between requests (the runtime forbids it): whoever asks leaves a mark with a deadline, and the
//! others look again by themselves. A mark that nobody takes away costs them that deadline and nothing else.

use std::cell::RefCell;
use std::num::NonZeroUsize;

use lru::LruCache;

/// 4,096 questions at once; one more forgets the oldest mark, and its question is asked twice.
const MOST_MARKS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// The questions of this isolate that are being asked.
#[derive(Debug)]
pub struct Flights {
    until_ms: RefCell<LruCache<String, u64>>,
}

impl Default for Flights {
    fn default() -> Self {
        Self { until_ms: RefCell::new(LruCache::new(MOST_MARKS)) }
    }
}

impl Flights {
    /// Whether the caller is to ask: nobody else does, or he has waited since `began_ms` for as long as anybody should.
    pub fn take(&self, key: &str, began_ms: u64, now_ms: u64, patience_ms: u64) -> bool {
        let mut marks = self.until_ms.borrow_mut();
        let asked = marks.get(key).is_some_and(|until_ms| *until_ms > now_ms);
        if asked && now_ms < began_ms.saturating_add(patience_ms) {
            return false;
        }
        marks.put(key.to_owned(), now_ms.saturating_add(patience_ms));
        true
    }

    /// Says that nobody is asking any more.
    pub fn end(&self, key: &str) {
        self.until_ms.borrow_mut().pop(key);
    }
}

#[cfg(test)]
mod tests {
    use super::Flights;

    #[test]
    fn one_asks_and_the_others_wait_for_him_and_no_longer_than_they_may() {
        let flights = Flights::default();
        assert!(flights.take("a", 100, 100, 50));
        assert!(!flights.take("a", 120, 120, 50) && flights.take("b", 120, 120, 50));
        // His mark is over; the next who looks takes it, and the others wait for that one.
        assert!(flights.take("a", 120, 150, 50) && !flights.take("a", 130, 151, 50));
        // Who has waited long enough asks beside him.
        assert!(flights.take("a", 130, 180, 50));
        flights.end("a");
        assert!(flights.take("a", 181, 181, 50));
    }
}
