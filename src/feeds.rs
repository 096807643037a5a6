//! Telling feeds that a write has moved their scopes: whoever waits there has its messages at once.
//!
//! It is told after the answer. A notice that is lost costs those who wait the time until their feed looks by itself.
//!
//! A feed says whether anybody waits, and an isolate remembers it. Where somebody did, the next push brings its messages
//! along, and nobody has to read them from Postgres. Where nobody did, they would be read for nothing, and the feed is told
//! four times a second at most ([`Quiet`]): who comes to wait there meanwhile has his first message late by as much.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use drey_core::id::WorkspaceId;
use drey_core::presence::ScopeNews;
use drey_core::role::Region;
use drey_durable_objects::scope_feed::FeedClient;
use futures::future::join_all;
use lru::LruCache;

use crate::app::App;
use crate::edge::clock;
use crate::quiet::{Quiet, Turn};
use crate::request::Request;

/// 4,096 scopes of either kind; one that is forgotten is told at once, and without messages.
const MOST_KNOWN: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// A push that moves more scopes tells so many feeds: each is a call of an object, of which a request has a thousand and six
/// at a time. The others look by themselves.
const MOST_HEARS: usize = 32;

/// Where somebody waited, and where nobody did, when this isolate last told of a scope.
#[derive(Debug)]
pub struct Feeds {
    waited: RefCell<LruCache<Scope, ()>>,
    quiet: Quiet<Scope>,
}

/// Workspace, type and id.
type Scope = (WorkspaceId, String, String);

/// A scope that a write has moved.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Where it stands now.
    pub news: ScopeNews,
    /// The last of its messages, a JSON array, if they are told.
    pub messages: Option<String>,
}

/// What a feed is told, and when.
#[derive(Debug)]
enum Due {
    Now(Moved),
    /// What has been kept for this scope until so many milliseconds are over.
    After(Scope, u64),
}

impl Default for Feeds {
    fn default() -> Self {
        Self { waited: RefCell::new(LruCache::new(MOST_KNOWN)), quiet: Quiet::new(MOST_KNOWN) }
    }
}

impl Feeds {
    /// Whether somebody is likely to wait at this scope.
    pub fn expects(&self, workspace: WorkspaceId, scope_type: &str, id: &str) -> bool {
        self.waited.borrow_mut().get(&(workspace, scope_type.to_owned(), id.to_owned())).is_some()
    }

    fn due(&self, workspace: WorkspaceId, moved: Moved, now_ms: u64) -> Option<Due> {
        let Moved { news, messages } = moved;
        let scope = (workspace, news.scope_type.clone(), news.id.clone());
        match self.quiet.turn(&scope, vec![news], now_ms) {
            Turn::Rest => None,
            Turn::Wait(ms) => Some(Due::After(scope, ms)),
            Turn::Tell(mut news) => news.pop().map(|news| Due::Now(Moved { news, messages })),
        }
    }

    fn keep(&self, scope: Scope, somebody_waits: bool, quiet_until_ms: u64) {
        if somebody_waits {
            self.waited.borrow_mut().put(scope, ());
        } else {
            self.waited.borrow_mut().pop(&scope);
            self.quiet.keep(scope, quiet_until_ms);
        }
    }
}

/// Tells the feeds of scopes that have moved, beside the answer: first those at which somebody is likely to wait.
pub fn tell(request: &Request<'_>, hint: Option<Region>, workspace: WorkspaceId, mut moved: Vec<Moved>) {
    let feeds = &request.app.feeds;
    moved.sort_by_key(|Moved { news, .. }| !feeds.expects(workspace, &news.scope_type, &news.id));
    moved.truncate(MOST_HEARS);
    let now_ms = clock::now_ms();
    let due: Vec<Due> = moved.into_iter().filter_map(|moved| feeds.due(workspace, moved, now_ms)).collect();
    if due.is_empty() {
        return;
    }
    let (app, env) = (Rc::clone(request.app), request.env.clone());
    request.worker.wait_until(async move {
        let feed = FeedClient { env: &env, hint };
        join_all(due.into_iter().map(|due| hear(&app, feed, workspace, due))).await;
    });
}

async fn hear(app: &App, feed: FeedClient<'_>, workspace: WorkspaceId, due: Due) {
    let (news, messages) = match due {
        Due::Now(Moved { news, messages }) => (Some(news), messages),
        Due::After(scope, wait_ms) => (app.feeds.quiet.after(&scope, wait_ms).await.pop(), None),
    };
    let Some(news) = news else { return };
    match feed.hear(workspace, &news, messages).await {
        Ok(somebody_waits) => {
            let quiet_until_ms = clock::now_ms().saturating_add(app.config.feed_quiet_ms);
            app.feeds.keep((workspace, news.scope_type, news.id), somebody_waits, quiet_until_ms);
        }
        Err(error) => tracing::warn!(target: "notice", %error, "not delivered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_expected_to_be_waited_at_until_its_feed_says_otherwise() {
        let (feeds, workspace) = (Feeds::default(), WorkspaceId::from_uuid(uuid::Uuid::nil()));
        let scope = || (workspace, "project".to_owned(), "p".to_owned());
        assert!(!feeds.expects(workspace, "project", "p"));
        feeds.keep(scope(), true, 0);
        assert!(feeds.expects(workspace, "project", "p") && !feeds.expects(workspace, "project", "q"));
        feeds.keep(scope(), false, 0);
        assert!(!feeds.expects(workspace, "project", "p"));
    }

    #[test]
    fn a_feed_at_which_nobody_waits_is_told_late_and_of_the_newest_alone() {
        let (feeds, workspace) = (Feeds::default(), WorkspaceId::from_uuid(uuid::Uuid::nil()));
        let scope = || (workspace, "project".to_owned(), "p".to_owned());
        let at = |epoch| {
            let news = ScopeNews { scope_type: "project".to_owned(), id: "p".to_owned(), generation: 1, epoch };
            Moved { news, messages: None }
        };
        assert!(matches!(feeds.due(workspace, at(1), 0), Some(Due::Now(Moved { news, .. })) if news.epoch == 1));
        feeds.keep(scope(), false, 1_000);
        assert!(matches!(feeds.due(workspace, at(2), 400), Some(Due::After(_, 600))));
        assert!(feeds.due(workspace, at(3), 500).is_none(), "somebody comes back for it");
        assert!(matches!(feeds.due(workspace, at(2), 1_000), Some(Due::Now(Moved { news, .. })) if news.epoch == 3));
    }
}
