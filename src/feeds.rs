//! Telling feeds that a write has moved their scopes: whoever waits there has its messages at once.
//!
//! It is told after the answer. A notice that is lost costs those who wait the time until their feed looks by itself.
//!
//! A feed says whether anybody waits, and an isolate remembers it. Where somebody did, the next push brings its messages
//! along, and nobody has to read them from Postgres. Where nobody did, they would be read for nothing, and the feed is told
//! nothing at all for a while. It knows of that silence: who comes to wait there meanwhile makes it look by itself.

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
use crate::request::Request;

/// 4,096 scopes of either kind; one that is forgotten is told at once, and without messages.
const MOST_KNOWN: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// A push that moves more scopes tells so many feeds: each is a call of an object, of which a request has a thousand and six
/// at a time. The others look by themselves.
const MOST_HEARS: usize = 32;

/// What the feeds said when this isolate last told them of a push.
#[derive(Debug)]
pub struct Feeds(RefCell<LruCache<Scope, Said>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    SomebodyWaits,
    NobodyWaits { silent_until_ms: u64 },
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

impl Default for Feeds {
    fn default() -> Self {
        Self(RefCell::new(LruCache::new(MOST_KNOWN)))
    }
}

impl Feeds {
    /// Whether somebody is likely to wait at this scope.
    pub fn expects(&self, workspace: WorkspaceId, scope_type: &str, id: &str) -> bool {
        let said = self.0.borrow_mut().get(&(workspace, scope_type.to_owned(), id.to_owned())).copied();
        said == Some(Said::SomebodyWaits)
    }

    /// Whether its feed is to be told now.
    fn is_due(&self, workspace: WorkspaceId, news: &ScopeNews, now_ms: u64) -> bool {
        match self.0.borrow_mut().get(&scope(workspace, news)) {
            Some(Said::NobodyWaits { silent_until_ms }) => *silent_until_ms <= now_ms,
            Some(Said::SomebodyWaits) | None => true,
        }
    }

    fn keep(&self, scope: Scope, said: Said) {
        self.0.borrow_mut().put(scope, said);
    }
}

fn scope(workspace: WorkspaceId, news: &ScopeNews) -> Scope {
    (workspace, news.scope_type.clone(), news.id.clone())
}

/// Tells the feeds of scopes that have moved, beside the answer: first those at which somebody is likely to wait.
pub fn tell(request: &Request<'_>, hint: Option<Region>, workspace: WorkspaceId, mut moved: Vec<Moved>) {
    let feeds = &request.app.feeds;
    let now_ms = clock::now_ms();
    moved.retain(|Moved { news, .. }| feeds.is_due(workspace, news, now_ms));
    moved.sort_by_key(|Moved { news, .. }| !feeds.expects(workspace, &news.scope_type, &news.id));
    moved.truncate(MOST_HEARS);
    if moved.is_empty() {
        return;
    }
    let (app, env) = (Rc::clone(request.app), request.env.clone());
    request.worker.wait_until(async move {
        let feed = FeedClient { env: &env, hint };
        join_all(moved.into_iter().map(|moved| hear(&app, feed, workspace, moved))).await;
    });
}

async fn hear(app: &App, feed: FeedClient<'_>, workspace: WorkspaceId, Moved { news, messages }: Moved) {
    // Counted from here, so that the feed, which counts from its answer, holds the silence to be longer and not shorter.
    let silent_until_ms = clock::now_ms().saturating_add(app.config.feed_quiet_ms);
    match feed.hear(workspace, &news, messages).await {
        Ok(true) => app.feeds.keep(scope(workspace, &news), Said::SomebodyWaits),
        Ok(false) => app.feeds.keep(scope(workspace, &news), Said::NobodyWaits { silent_until_ms }),
        Err(error) => tracing::warn!(target: "notice", %error, "not delivered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved() -> (Feeds, WorkspaceId, ScopeNews) {
        let news = ScopeNews { scope_type: "project".to_owned(), id: "p".to_owned(), generation: 1, epoch: 1 };
        (Feeds::default(), WorkspaceId::from_uuid(uuid::Uuid::nil()), news)
    }

    #[test]
    fn a_scope_is_expected_to_be_waited_at_until_its_feed_says_otherwise() {
        let (feeds, workspace, news) = moved();
        assert!(!feeds.expects(workspace, "project", "p"));
        feeds.keep(scope(workspace, &news), Said::SomebodyWaits);
        assert!(feeds.expects(workspace, "project", "p") && !feeds.expects(workspace, "project", "q"));
        feeds.keep(scope(workspace, &news), Said::NobodyWaits { silent_until_ms: 0 });
        assert!(!feeds.expects(workspace, "project", "p"));
    }

    #[test]
    fn a_feed_at_which_nobody_waits_is_told_nothing_until_the_silence_is_over() {
        let (feeds, workspace, news) = moved();
        assert!(feeds.is_due(workspace, &news, 0), "it has not said anything yet");
        feeds.keep(scope(workspace, &news), Said::NobodyWaits { silent_until_ms: 1_000 });
        assert!(!feeds.is_due(workspace, &news, 999));
        assert!(feeds.is_due(workspace, &news, 1_000));
        feeds.keep(scope(workspace, &news), Said::SomebodyWaits);
        assert!(feeds.is_due(workspace, &news, 1_001));
    }
}
