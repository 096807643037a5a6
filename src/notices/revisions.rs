//! Telling gates of revisions after the answer: who writes often in a tenant tells its gate a few times a second.
//!
//! A gate that is written to more than it is asked says how late it may be told, and grants leases that are shorter by it:
//! others see a write no later than if each were told. A question to the gate that is asked meanwhile takes the news along.
//! This isolate, and whoever names the revision of his write, never wait for it.

use std::num::NonZeroUsize;
use std::rc::Rc;

use drey_durable_objects::workspace_gate::{GateClient, News, Subject, Writes};
use worker::Env;

use super::TIMEOUT_MS;
use crate::app::App;
use crate::edge::clock;
use crate::quiet::{self, Quiet, Turn};
use crate::request::Request;

/// A while is half a second: one in which more tenants are written from one isolate loses the oldest notice.
const MOST_LATE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);

/// Gates that may be told late, as this isolate was told.
#[derive(Debug)]
pub struct Revisions(Quiet<Subject, Writes>);

impl Default for Revisions {
    fn default() -> Self {
        Self(Quiet::new(MOST_LATE))
    }
}

impl Revisions {
    /// What this gate has not been told yet: the next question to it tells it too.
    pub fn take(&self, subject: &Subject) -> Option<Writes> {
        self.0.take(subject)
    }

    /// This gate may be told so much later than what was sent then.
    pub fn keep(&self, subject: Subject, sent_ms: u64, late_ms: u64) {
        // The gate counts from when it came.
        self.0.keep(subject, sent_ms.saturating_add(late_ms));
    }
}

impl quiet::News for Writes {
    fn join(&mut self, later: Self) {
        self.count = self.count.saturating_add(later.count);
        self.news.revision = self.news.revision.max(later.news.revision);
        self.news.authz_epoch = self.news.authz_epoch.max(later.news.authz_epoch);
        self.news.roles_changed |= later.news.roles_changed;
    }
}

/// Tells the gate of this tenant what a write has changed, beside the answer.
pub(super) fn tell(request: &Request<'_>, subject: Subject, news: News) {
    let (late, writes) = (&request.app.revisions.0, Writes { news, count: 1 });
    // Whoever has another role or plan is asked about before the gate says anything more.
    let turn = if news.roles_changed { Turn::Tell(writes) } else { late.turn(&subject, writes, clock::now_ms()) };
    if turn != Turn::Rest {
        let (app, env) = (Rc::clone(request.app), request.env.clone());
        request.worker.wait_until(async move {
            if let Some(writes) = app.revisions.0.due(&subject, turn).await {
                send(&app, &env, subject, writes).await;
            }
        });
    }
}

async fn send(app: &App, env: &Env, subject: Subject, writes: Writes) {
    let sent_ms = clock::now_ms();
    match (GateClient { env, timeout_ms: TIMEOUT_MS }).tell_writes(&subject, writes).await {
        Ok(Some(late_ms)) => app.revisions.keep(subject, sent_ms, late_ms),
        Ok(None) => {}
        Err(error) => tracing::warn!(target: "notice", %error, "not delivered"),
    }
}
