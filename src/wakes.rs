//! Telling rooms that a push has moved scopes: whoever has a socket there need not wait at each log besides.
//!
//! It is told after the push is answered, once per push, and costs a room that nobody is in one hop a second: an isolate that
//! was told so keeps what comes meanwhile and tells the newest of it when that second is over. A notice that is lost costs
//! its readers time, never a change.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use drey_core::id::WorkspaceId;
use drey_core::presence::ScopeNews;
use drey_durable_objects::workspace_presence::PresenceClient;
use lru::LruCache;
use worker::{Delay, Env};

use crate::app::App;
use crate::edge::clock;
use crate::request::Request;

/// 1,024 rooms that nobody is in; one more forgets what was to be told in the oldest.
const MOST_QUIET: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
/// A room that takes longer is told of the next push.
const TIMEOUT_MS: u32 = 1_000;

/// Rooms that nobody is in, as this isolate was told.
#[derive(Debug)]
pub struct Wakes {
    quiet: RefCell<LruCache<WorkspaceId, Quiet>>,
}

/// What is to be told in such a room, and when.
#[derive(Debug)]
struct Quiet {
    until_ms: u64,
    /// By type and id: generation and epoch.
    later: BTreeMap<(String, String), (i64, i64)>,
}

/// What to do with news.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// Tell these now.
    Tell(Vec<ScopeNews>),
    /// Come back after so many milliseconds.
    Wait(u64),
    /// Somebody comes back for them.
    Rest,
}

impl Default for Wakes {
    fn default() -> Self {
        Self { quiet: RefCell::new(LruCache::new(MOST_QUIET)) }
    }
}

impl Wakes {
    fn turn(&self, workspace: WorkspaceId, news: Vec<ScopeNews>, now_ms: u64) -> Turn {
        let mut rooms = self.quiet.borrow_mut();
        let Some(quiet) = rooms.get_mut(&workspace) else { return Turn::Tell(news) };
        let is_first = quiet.later.is_empty();
        for ScopeNews { scope_type, id, generation, epoch } in news {
            let known = quiet.later.entry((scope_type, id)).or_default();
            *known = (*known).max((generation, epoch));
        }
        match quiet.until_ms.checked_sub(now_ms).filter(|left| *left > 0) {
            None => Turn::Tell(rooms.pop(&workspace).map(Quiet::news).unwrap_or_default()),
            Some(left) if is_first => Turn::Wait(left),
            Some(_) => Turn::Rest,
        }
    }

    fn is_quiet(&self, workspace: WorkspaceId, until_ms: u64) {
        self.quiet.borrow_mut().get_or_insert_mut(workspace, || Quiet { until_ms, later: BTreeMap::new() });
    }
}

impl Quiet {
    fn news(self) -> Vec<ScopeNews> {
        let news = self.later.into_iter();
        news.map(|((scope_type, id), (generation, epoch))| ScopeNews { scope_type, id, generation, epoch }).collect()
    }
}

/// Tells the workspace's room of scopes that have moved, beside the answer.
pub fn tell(request: &Request<'_>, workspace: WorkspaceId, news: Vec<ScopeNews>) {
    if news.is_empty() {
        return;
    }
    let (app, env) = (Rc::clone(request.app), request.env.clone());
    match app.wakes.turn(workspace, news, clock::now_ms()) {
        Turn::Rest => {}
        Turn::Tell(news) => request.worker.wait_until(async move { send(&app, &env, workspace, news).await }),
        Turn::Wait(ms) => request.worker.wait_until(async move {
            Delay::from(Duration::from_millis(ms)).await;
            if let Turn::Tell(news) = app.wakes.turn(workspace, Vec::new(), clock::now_ms()) {
                send(&app, &env, workspace, news).await;
            }
        }),
    }
}

async fn send(app: &App, env: &Env, workspace: WorkspaceId, news: Vec<ScopeNews>) {
    if news.is_empty() {
        return;
    }
    let rooms = PresenceClient { env, timeout_ms: TIMEOUT_MS };
    match rooms.notify(workspace, news).await {
        Ok(true) => {}
        Ok(false) => app.wakes.is_quiet(workspace, clock::now_ms().saturating_add(app.config.presence_quiet_ms)),
        Err(error) => tracing::warn!(target: "notice", %error, "not delivered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: i64) -> Vec<ScopeNews> {
        vec![ScopeNews { scope_type: "project".to_owned(), id: "p".to_owned(), generation: 1, epoch }]
    }

    #[test]
    fn an_empty_room_is_told_once_in_a_while_and_then_the_newest() {
        let (wakes, room) = (Wakes::default(), WorkspaceId::from_uuid(uuid::Uuid::nil()));
        assert_eq!(wakes.turn(room, at(1), 0), Turn::Tell(at(1)));
        wakes.is_quiet(room, 1_000);
        assert_eq!(wakes.turn(room, at(3), 400), Turn::Wait(600));
        assert_eq!(wakes.turn(room, at(2), 500), Turn::Rest);
        assert_eq!(wakes.turn(room, Vec::new(), 1_000), Turn::Tell(at(3)));
        assert_eq!(wakes.turn(room, at(4), 1_001), Turn::Tell(at(4)), "somebody may be there now");
    }

    #[test]
    fn whoever_promised_to_come_back_and_did_not_is_not_waited_for() {
        let (wakes, room) = (Wakes::default(), WorkspaceId::from_uuid(uuid::Uuid::nil()));
        wakes.is_quiet(room, 1_000);
        assert_eq!(wakes.turn(room, at(1), 10), Turn::Wait(990));
        assert_eq!(wakes.turn(room, at(2), 2_000), Turn::Tell(at(2)));
    }
}
