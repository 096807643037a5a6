//! News that may be told late, and then the newest of it alone.
//!
//! Who was told that he may keeps what comes meanwhile, and tells it when a while is over. So what happens a hundred times a
//! second costs a few calls of an object, and the last of it is heard late by that while, once.

use std::cell::RefCell;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;
use worker::Delay;

use crate::edge::clock;

/// How often somebody comes back for a while that grows, each of a second at the most: the runtime ends what a request has
/// left over thirty seconds after its answer, and with it what nobody else comes back for.
const MOST_TIMES: u32 = 10;

/// News of which a later one takes the place of an earlier one.
pub trait News {
    /// Takes in what came later.
    fn join(&mut self, later: Self);
}

/// Who may be told late, as this isolate was told.
#[derive(Debug)]
pub struct Quiet<K: Hash + Eq, N>(RefCell<LruCache<K, Held<N>>>);

/// What is to be told there, and when.
#[derive(Debug)]
struct Held<N> {
    until_ms: u64,
    later: Option<N>,
    /// Somebody comes back for it.
    waited: bool,
}

/// What to do with news.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn<N> {
    /// Tell these now.
    Tell(N),
    /// Come back after so many milliseconds ([`Quiet::due`]).
    Wait(u64),
    /// Somebody comes back for them.
    Rest,
}

impl<K: Hash + Eq, N: News> Quiet<K, N> {
    /// Remembers so many; one more forgets what was to be told to the oldest.
    #[must_use]
    pub fn new(most: NonZeroUsize) -> Self {
        Self(RefCell::new(LruCache::new(most)))
    }

    /// What to do with news for this one.
    pub fn turn(&self, whom: &K, news: N, now_ms: u64) -> Turn<N> {
        let mut table = self.0.borrow_mut();
        let Some(held) = table.get_mut(whom) else { return Turn::Tell(news) };
        match &mut held.later {
            Some(later) => later.join(news),
            none => *none = Some(news),
        }
        match held.left_ms(now_ms) {
            None => table.pop(whom).and_then(|held| held.later).map_or(Turn::Rest, Turn::Tell),
            Some(_) if held.waited => Turn::Rest,
            Some(left) => {
                held.waited = true;
                Turn::Wait(left)
            }
        }
    }

    /// What this turn is to tell, when its time has come; nothing if it was told otherwise.
    pub async fn due(&self, whom: &K, mut turn: Turn<N>) -> Option<N> {
        let mut times = 0;
        loop {
            match turn {
                Turn::Tell(news) => return Some(news),
                Turn::Rest => return None,
                Turn::Wait(ms) => Delay::from(Duration::from_millis(ms)).await,
            }
            times += 1;
            turn = self.come_back(whom, clock::now_ms(), times < MOST_TIMES);
        }
    }

    /// The turn of who said that he would come back. The while may have grown meanwhile; who has no patience left tells what
    /// there is.
    fn come_back(&self, whom: &K, now_ms: u64, patient: bool) -> Turn<N> {
        let mut table = self.0.borrow_mut();
        let Some(held) = table.get_mut(whom).filter(|held| held.waited) else { return Turn::Rest };
        match held.left_ms(now_ms).filter(|_| patient) {
            Some(left) => Turn::Wait(left),
            None => table.pop(whom).and_then(|held| held.later).map_or(Turn::Rest, Turn::Tell),
        }
    }

    /// What is kept for this one, because there is another way to tell him now.
    pub fn take(&self, whom: &K) -> Option<N> {
        self.0.borrow_mut().get_mut(whom)?.later.take()
    }

    /// He may be told late until then.
    pub fn keep(&self, whom: K, until_ms: u64) {
        let mut table = self.0.borrow_mut();
        let held = table.get_or_insert_mut(whom, || Held { until_ms, later: None, waited: false });
        held.until_ms = held.until_ms.max(until_ms);
    }
}

impl<N> Held<N> {
    fn left_ms(&self, now_ms: u64) -> Option<u64> {
        self.until_ms.checked_sub(now_ms).filter(|left| *left > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl News for u32 {
        fn join(&mut self, later: Self) {
            *self = later.max(*self);
        }
    }

    fn quiet() -> Quiet<&'static str, u32> {
        Quiet::new(NonZeroUsize::MIN)
    }

    #[test]
    fn who_may_be_told_late_is_told_the_newest_once_in_a_while() {
        let quiet = quiet();
        assert_eq!(quiet.turn(&"a", 1, 0), Turn::Tell(1));
        quiet.keep("a", 1_000);
        assert_eq!(quiet.turn(&"a", 3, 400), Turn::Wait(600));
        assert_eq!(quiet.turn(&"a", 2, 500), Turn::Rest);
        assert_eq!(quiet.come_back(&"a", 999, true), Turn::Wait(1), "a timer may be early");
        assert_eq!(quiet.come_back(&"a", 1_000, true), Turn::Tell(3));
        assert_eq!(quiet.turn(&"a", 4, 1_001), Turn::Tell(4), "he has not said again that he may");
    }

    #[test]
    fn whoever_promised_to_come_back_and_did_not_is_not_waited_for() {
        let quiet = quiet();
        quiet.keep("a", 1_000);
        assert_eq!(quiet.turn(&"a", 1, 10), Turn::Wait(990));
        assert_eq!(quiet.turn(&"a", 2, 2_000), Turn::Tell(2));
        assert_eq!(quiet.come_back(&"a", 2_001, true), Turn::Rest, "and finds nothing if he does after all");
        quiet.keep("a", 3_000);
        assert_eq!(quiet.come_back(&"a", 2_002, true), Turn::Rest, "nor does he wait for what is another's");
    }

    /// Who writes without end makes the while grow without end, and a request does not last so long.
    #[test]
    fn who_has_come_back_often_enough_tells_what_there_is() {
        let quiet = quiet();
        quiet.keep("a", 1_000);
        assert_eq!(quiet.turn(&"a", 1, 10), Turn::Wait(990));
        quiet.keep("a", 1_500);
        assert_eq!(quiet.come_back(&"a", 1_000, true), Turn::Wait(500));
        assert_eq!(quiet.come_back(&"a", 1_000, false), Turn::Tell(1));
    }

    #[test]
    fn what_was_told_otherwise_is_not_told_again_and_one_comes_back_for_what_follows() {
        let quiet = quiet();
        quiet.keep("a", 1_000);
        assert_eq!(quiet.turn(&"a", 1, 10), Turn::Wait(990));
        assert_eq!(quiet.take(&"a"), Some(1));
        quiet.keep("a", 1_500);
        assert_eq!(quiet.turn(&"a", 2, 20), Turn::Rest);
        assert_eq!(quiet.come_back(&"a", 1_000, true), Turn::Wait(500), "the while began anew");
        assert_eq!(quiet.take(&"a"), Some(2));
        assert_eq!(quiet.come_back(&"a", 1_500, true), Turn::Rest);
        assert_eq!(quiet.turn(&"a", 3, 1_501), Turn::Tell(3));
    }
}
