//! News for rooms in which nobody was: told late, and then the newest of it alone.
//!
//! Who was told that nobody hears him keeps what comes meanwhile, and tells it when a while is over. So what happens a hundred
//! times a second where nobody looks costs a few calls of an object, and who comes in between hears of it late by that while,
//! once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use drey_core::id::WorkspaceId;
use drey_core::presence::ScopeNews;
use lru::LruCache;
use worker::Delay;

use crate::edge::clock;

/// Rooms in which nobody was, as this isolate was told.
#[derive(Debug)]
pub struct Quiet(RefCell<LruCache<WorkspaceId, Held>>);

/// What is to be told in such a room, and when.
#[derive(Debug)]
struct Held {
    until_ms: u64,
    /// By type and id: generation and epoch.
    later: BTreeMap<(String, String), (i64, i64)>,
}

/// What to do with news.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Tell these now.
    Tell(Vec<ScopeNews>),
    /// Come back after so many milliseconds ([`Quiet::after`]).
    Wait(u64),
    /// Somebody comes back for them.
    Rest,
}

impl Quiet {
    /// Remembers so many rooms; one more forgets what was to be told in the oldest.
    #[must_use]
    pub fn new(most: NonZeroUsize) -> Self {
        Self(RefCell::new(LruCache::new(most)))
    }

    /// What to do with news for this room.
    pub fn turn(&self, room: &WorkspaceId, news: Vec<ScopeNews>, now_ms: u64) -> Turn {
        let mut rooms = self.0.borrow_mut();
        let Some(held) = rooms.get_mut(room) else { return Turn::Tell(news) };
        let is_first = held.later.is_empty();
        for ScopeNews { scope_type, id, generation, epoch } in news {
            let known = held.later.entry((scope_type, id)).or_default();
            *known = (*known).max((generation, epoch));
        }
        match held.until_ms.checked_sub(now_ms).filter(|left| *left > 0) {
            None => Turn::Tell(rooms.pop(room).map(Held::news).unwrap_or_default()),
            Some(left) if is_first => Turn::Wait(left),
            Some(_) => Turn::Rest,
        }
    }

    /// What is to be told after so many milliseconds; nothing if somebody else has told it.
    pub async fn after(&self, room: &WorkspaceId, wait_ms: u64) -> Vec<ScopeNews> {
        Delay::from(Duration::from_millis(wait_ms)).await;
        match self.turn(room, Vec::new(), clock::now_ms()) {
            Turn::Tell(news) => news,
            Turn::Wait(_) | Turn::Rest => Vec::new(),
        }
    }

    /// Nobody was there.
    pub fn keep(&self, room: WorkspaceId, until_ms: u64) {
        self.0.borrow_mut().get_or_insert_mut(room, || Held { until_ms, later: BTreeMap::new() });
    }
}

impl Held {
    fn news(self) -> Vec<ScopeNews> {
        let news = self.later.into_iter();
        news.map(|((scope_type, id), (generation, epoch))| ScopeNews { scope_type, id, generation, epoch }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: i64) -> Vec<ScopeNews> {
        vec![ScopeNews { scope_type: "project".to_owned(), id: "p".to_owned(), generation: 1, epoch }]
    }

    fn quiet() -> (Quiet, WorkspaceId) {
        (Quiet::new(NonZeroUsize::MIN), WorkspaceId::from_uuid(uuid::Uuid::nil()))
    }

    #[test]
    fn where_nobody_is_the_newest_is_told_once_in_a_while() {
        let (quiet, room) = quiet();
        assert_eq!(quiet.turn(&room, at(1), 0), Turn::Tell(at(1)));
        quiet.keep(room, 1_000);
        assert_eq!(quiet.turn(&room, at(3), 400), Turn::Wait(600));
        assert_eq!(quiet.turn(&room, at(2), 500), Turn::Rest);
        assert_eq!(quiet.turn(&room, Vec::new(), 1_000), Turn::Tell(at(3)));
        assert_eq!(quiet.turn(&room, at(4), 1_001), Turn::Tell(at(4)), "somebody may be there now");
    }

    #[test]
    fn whoever_promised_to_come_back_and_did_not_is_not_waited_for() {
        let (quiet, room) = quiet();
        quiet.keep(room, 1_000);
        assert_eq!(quiet.turn(&room, at(1), 10), Turn::Wait(990));
        assert_eq!(quiet.turn(&room, at(2), 2_000), Turn::Tell(at(2)));
    }
}
