//! Telling feeds that a write has moved their scopes: whoever waits there has its messages at once.
//!
//! It is told after the answer. A notice that is lost costs those who wait the time until their feed looks by itself.

use drey_core::id::WorkspaceId;
use drey_core::presence::ScopeNews;
use drey_core::role::Region;
use drey_durable_objects::scope_feed::FeedClient;
use futures::future::join_all;

use crate::request::Request;

/// Tells the feeds of scopes that have moved, beside the answer.
pub fn tell(request: &Request<'_>, hint: Option<Region>, workspace: WorkspaceId, news: Vec<ScopeNews>) {
    if news.is_empty() {
        return;
    }
    let env = request.env.clone();
    request.worker.wait_until(async move {
        let feeds = FeedClient { env: &env, hint };
        let told = join_all(news.iter().map(|news| feeds.hear(workspace, news))).await;
        for error in told.into_iter().filter_map(Result::err) {
            tracing::warn!(target: "notice", %error, "not delivered");
        }
    });
}
