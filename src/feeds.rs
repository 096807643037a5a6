//! Telling feeds that a write has moved their scopes: whoever waits there has its messages at once.
//!
//! It is told after the answer. A notice that is lost costs those who wait the time until their feed looks by itself.
//!
//! A feed says whether anybody waits, and an isolate remembers it. Where somebody did, the next push brings its messages
//! along, and nobody has to read them from Postgres; where nobody did, they would be read for nothing.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use drey_core::id::WorkspaceId;
use drey_core::presence::ScopeNews;
use drey_core::role::Region;
use drey_durable_objects::scope_feed::FeedClient;
use futures::future::join_all;
use lru::LruCache;
use worker::Env;

use crate::app::App;
use crate::request::Request;

/// 4,096 scopes; one that is forgotten is told without messages once.
const MOST_WAITED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// A push that moves more scopes tells so many feeds: each is a call of an object, of which a request has a thousand and six
/// at a time. The others look by themselves.
const MOST_HEARS: usize = 32;

/// The scopes at which somebody waited when this isolate last told of them.
#[derive(Debug)]
pub struct Feeds {
    waited: RefCell<LruCache<Scope, ()>>,
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
        Self { waited: RefCell::new(LruCache::new(MOST_WAITED)) }
    }
}

impl Feeds {
    /// Whether somebody is likely to wait at this scope.
    pub fn expects(&self, workspace: WorkspaceId, scope_type: &str, id: &str) -> bool {
        self.waited.borrow_mut().get(&(workspace, scope_type.to_owned(), id.to_owned())).is_some()
    }

    fn keep(&self, scope: Scope, somebody_waits: bool) {
        if somebody_waits {
            self.waited.borrow_mut().put(scope, ());
        } else {
            self.waited.borrow_mut().pop(&scope);
        }
    }
}

/// Tells the feeds of scopes that have moved, beside the answer: first those at which somebody is likely to wait.
pub fn tell(request: &Request<'_>, hint: Option<Region>, workspace: WorkspaceId, mut moved: Vec<Moved>) {
    if moved.is_empty() {
        return;
    }
    let feeds = &request.app.feeds;
    moved.sort_by_key(|Moved { news, .. }| !feeds.expects(workspace, &news.scope_type, &news.id));
    moved.truncate(MOST_HEARS);
    let (app, env) = (Rc::clone(request.app), request.env.clone());
    request.worker.wait_until(async move {
        join_all(moved.into_iter().map(|moved| hear(&app, &env, hint, workspace, moved))).await;
    });
}

async fn hear(app: &App, env: &Env, hint: Option<Region>, workspace: WorkspaceId, moved: Moved) {
    let Moved { news, messages } = moved;
    match (FeedClient { env, hint }).hear(workspace, &news, messages).await {
        Ok(somebody_waits) => app.feeds.keep((workspace, news.scope_type, news.id), somebody_waits),
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
        feeds.keep(scope(), true);
        assert!(feeds.expects(workspace, "project", "p") && !feeds.expects(workspace, "project", "q"));
        feeds.keep(scope(), false);
        assert!(!feeds.expects(workspace, "project", "p"));
    }
}
