//! Counting for the operator: each request once, at its end, and a report of it off anybody's way.
//!
//! A report that got no answer may have arrived: it is kept as it was, with its number, and sent again before the next. So
//! a metrics object that is down or slow costs memory of fixed size and no request anything.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

use drey_core::metrics::{Counts, Delta, Levels, Running, Seen};
use drey_core::refusal::Code;
use drey_durable_objects::metrics::MetricsClient;
use worker::{Delay, Env};

use crate::app::App;
use crate::cache::CacheStatus;
use crate::context::Context;
use crate::edge::{clock, memory, random};
use crate::respond::Facts;
use crate::routes::Limit;

/// The object answers within milliseconds or is in trouble.
const TIMEOUT_MS: u32 = 2_000;
/// Two reports, with room for a busy machine: after this a report that nobody heard of again is no longer waited for.
const PATIENCE_MS: u64 = 10_000;

/// What an isolate has counted and not yet reported.
#[derive(Debug)]
pub struct Meter {
    /// Random: it tells isolates apart and nothing else.
    isolate: String,
    counts: RefCell<Counts>,
    /// A report without an answer.
    unsent: RefCell<Option<Delta>>,
    sequence: Cell<u64>,
    /// Until when somebody is seeing to the next report. Not a flag: whoever sees to it may be cancelled.
    reporting_until_ms: Cell<u64>,
}

impl Meter {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let isolate = random::bytes::<8>().iter().fold(String::new(), |mut name, byte| {
            // Writing to a String does not fail.
            let _ = write!(name, "{byte:02x}");
            name
        });
        Self {
            isolate,
            counts: RefCell::default(),
            unsent: RefCell::default(),
            sequence: Cell::new(0),
            reporting_until_ms: Cell::new(0),
        }
    }

    /// Counts a request that has been answered. Probes are not counted, as they are not logged.
    pub fn see(&self, context: &Context, facts: &Facts, status: u16, code: Option<Code>) {
        if facts.route.is_some_and(|route| route.policy.limit == Limit::Free) {
            return;
        }
        let (method, route) = facts.route.map(|route| (route.method, route.path)).unwrap_or_default();
        let mut counts = self.counts.borrow_mut();
        context.shadow.borrow().iter().for_each(|policy| counts.shadowed(policy));
        counts.see(&Seen {
            method,
            route,
            status,
            plan: facts.plan.map(drey_core::role::Plan::as_str),
            // Whom the gate has not let in may have made up the name.
            tenant: facts.tenant.as_deref().filter(|_| facts.plan.is_some()),
            level: facts.cache.map(CacheStatus::level),
            code: code.map(Code::as_str),
            ms: clock::now_ms().saturating_sub(context.started_ms),
            gate_hops: context.gate_hops.get(),
        });
    }

    /// Counts a refusal by the policies that were exceeded, as its problem names them.
    pub fn limited(&self, policies: &serde_json::Value) {
        let mut counts = self.counts.borrow_mut();
        for policy in policies.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str) {
            counts.limited(policy);
        }
    }

    /// The report to send: the one that got no answer, or a new one.
    fn next(&self, app: &App) -> Delta {
        if let Some(unsent) = self.unsent.borrow().as_ref() {
            return unsent.clone();
        }
        let tokens = app.leases.tokens(clock::now_ms());
        let running = Running {
            granted: tokens.granted,
            spent: tokens.spent,
            expired: tokens.expired,
            renewals: app.leases.renewals(),
            round_trips: app.neon.traffic.round_trips(),
            retries: app.neon.traffic.retries(),
        };
        self.sequence.set(self.sequence.get() + 1);
        let delta = self.counts.borrow_mut().take(&self.isolate, self.sequence.get(), running);
        self.unsent.replace(Some(delta.clone()));
        delta
    }

    /// Sends what there is; whether it arrived.
    async fn send(&self, app: &App, env: &Env) -> bool {
        let delta = self.next(app);
        let levels = Levels {
            memory_bytes: memory::bytes(),
            in_flight: app.load.in_flight(),
            connections: app.neon.traffic.take_most_open(),
        };
        let sent = MetricsClient { env, timeout_ms: TIMEOUT_MS }.report(&delta, levels).await;
        if let Err(error) = &sent {
            tracing::debug!(target: "metrics", %error, "not reported");
        }
        // Another that took over may have sent the next one meanwhile.
        let mut unsent = self.unsent.borrow_mut();
        if sent.is_ok() && unsent.as_ref().is_some_and(|unsent| unsent.sequence == delta.sequence) {
            *unsent = None;
        }
        sent.is_ok()
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

/// Sees to it that what was counted is reported: the first request after a report waits, off its own way, until it is time
/// for the next. So every count arrives, also when no other request follows.
pub fn report_aside(app: &Rc<App>, env: &Env, worker: &worker::Context) {
    let (meter, now_ms, every_ms) = (&app.metrics, clock::now_ms(), app.config.metrics_every_ms);
    if now_ms < meter.reporting_until_ms.get() {
        return;
    }
    let until_ms = now_ms + every_ms + PATIENCE_MS;
    meter.reporting_until_ms.set(until_ms);
    let (app, env) = (Rc::clone(app), env.clone());
    worker.wait_until(async move {
        Delay::from(Duration::from_millis(every_ms)).await;
        let meter = &app.metrics;
        let was_late = meter.unsent.borrow().is_some();
        if meter.send(&app, &env).await && was_late {
            meter.send(&app, &env).await;
        }
        if meter.reporting_until_ms.get() == until_ms {
            meter.reporting_until_ms.set(0);
        }
    });
}
