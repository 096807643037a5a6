//! Telling rooms that a push has moved scopes: whoever has a socket there need not wait at each log besides.
//!
//! It is told after the push is answered, once per push, and costs a room that nobody is in one hop a second ([`Quiet`]).
//! A notice that is lost costs its readers time, never a change.

use std::num::NonZeroUsize;
use std::rc::Rc;

use drey_core::id::WorkspaceId;
use drey_core::presence::ScopeNews;
use drey_durable_objects::workspace_presence::PresenceClient;
use worker::Env;

use crate::app::App;
use crate::edge::clock;
use crate::quiet::{Quiet, Turn};
use crate::request::Request;

/// How many rooms an isolate remembers that nobody is in.
const MOST_QUIET: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
/// A room that takes longer is told of the next push.
const TIMEOUT_MS: u32 = 1_000;

/// Rooms that nobody is in, as this isolate was told.
#[derive(Debug)]
pub struct Wakes(Quiet);

impl Default for Wakes {
    fn default() -> Self {
        Self(Quiet::new(MOST_QUIET))
    }
}

/// Tells the workspace's room of scopes that have moved, beside the answer.
pub fn tell(request: &Request<'_>, workspace: WorkspaceId, news: Vec<ScopeNews>) {
    if news.is_empty() {
        return;
    }
    let (app, env) = (Rc::clone(request.app), request.env.clone());
    match app.wakes.0.turn(&workspace, news, clock::now_ms()) {
        Turn::Rest => {}
        Turn::Tell(news) => request.worker.wait_until(async move { send(&app, &env, workspace, news).await }),
        Turn::Wait(ms) => request.worker.wait_until(async move {
            let news = app.wakes.0.after(&workspace, ms).await;
            send(&app, &env, workspace, news).await;
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
        Ok(false) => app.wakes.0.keep(workspace, clock::now_ms().saturating_add(app.config.presence_quiet_ms)),
        Err(error) => tracing::warn!(target: "notice", %error, "not delivered"),
    }
}
