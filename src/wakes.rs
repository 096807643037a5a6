//! Telling rooms that a push has moved scopes: whoever has a socket there need not wait at each log besides.
//!
//! It is told after the push is answered, once per push, and costs a room that nobody is in one hop a second ([`Quiet`]).
//! A notice that is lost costs its readers time, never a change.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::rc::Rc;

use drey_core::id::WorkspaceId;
use drey_core::presence::ScopeNews;
use drey_durable_objects::workspace_presence::PresenceClient;
use worker::Env;

use crate::app::App;
use crate::edge::clock;
use crate::quiet::{News, Quiet, Turn};
use crate::request::Request;

/// How many rooms an isolate remembers that nobody is in.
const MOST_QUIET: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
/// A room that takes longer is told of the next push.
const TIMEOUT_MS: u32 = 1_000;

/// Rooms that nobody is in, as this isolate was told.
#[derive(Debug)]
pub struct Wakes(Quiet<WorkspaceId, Scopes>);

/// Generation and epoch of scopes, by type and id.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scopes(BTreeMap<(String, String), (i64, i64)>);

impl Default for Wakes {
    fn default() -> Self {
        Self(Quiet::new(MOST_QUIET))
    }
}

impl FromIterator<ScopeNews> for Scopes {
    fn from_iter<T: IntoIterator<Item = ScopeNews>>(news: T) -> Self {
        let mut scopes = Self::default();
        for ScopeNews { scope_type, id, generation, epoch } in news {
            scopes.reach((scope_type, id), (generation, epoch));
        }
        scopes
    }
}

impl Scopes {
    fn reach(&mut self, scope: (String, String), at: (i64, i64)) {
        let known = self.0.entry(scope).or_default();
        *known = at.max(*known);
    }

    fn news(self) -> Vec<ScopeNews> {
        let news = self.0.into_iter();
        news.map(|((scope_type, id), (generation, epoch))| ScopeNews { scope_type, id, generation, epoch }).collect()
    }
}

impl News for Scopes {
    fn join(&mut self, later: Self) {
        for (scope, at) in later.0 {
            self.reach(scope, at);
        }
    }
}

/// Tells the workspace's room of scopes that have moved, beside the answer.
pub fn tell(request: &Request<'_>, workspace: WorkspaceId, news: Vec<ScopeNews>) {
    if news.is_empty() {
        return;
    }
    let turn = request.app.wakes.0.turn(&workspace, news.into_iter().collect(), clock::now_ms());
    if turn != Turn::Rest {
        let (app, env) = (Rc::clone(request.app), request.env.clone());
        request.worker.wait_until(async move {
            if let Some(scopes) = app.wakes.0.due(&workspace, turn).await {
                send(&app, &env, workspace, scopes.news()).await;
            }
        });
    }
}

async fn send(app: &App, env: &Env, workspace: WorkspaceId, news: Vec<ScopeNews>) {
    let rooms = PresenceClient { env, timeout_ms: TIMEOUT_MS };
    match rooms.notify(workspace, news).await {
        Ok(true) => {}
        Ok(false) => app.wakes.0.keep(workspace, clock::now_ms().saturating_add(app.config.presence_quiet_ms)),
        Err(error) => tracing::warn!(target: "notice", %error, "not delivered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: &str, epoch: i64) -> ScopeNews {
        ScopeNews { scope_type: "project".to_owned(), id: id.to_owned(), generation: 1, epoch }
    }

    #[test]
    fn of_each_scope_the_newest_is_told() {
        let mut scopes: Scopes = [at("a", 3), at("b", 1)].into_iter().collect();
        scopes.join([at("a", 2), at("b", 2)].into_iter().collect());
        assert_eq!(scopes.news(), [at("a", 3), at("b", 2)]);
    }
}
