//! What holds at this gate: the environment's numbers, with the documents that its refreshes bring over them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use drey_core::settings::{Effective, Stored, Ttl};
use drey_core::trace::Traceparent;
use drey_store::settings::{Held, operator, platform};
use drey_store::{Deadline, Neon, Session, Timings};
use worker::Env;

use crate::environment;

/// A look aside that takes longer is given up; the next caller looks again.
const LOAD_MS: u64 = 1_800;
/// A gate without a tenant looks no more often than this.
const LEAST_MS: u64 = 250;
/// How much earlier than others it looks: who makes it look is still refused by the older settings, and that is believed for
/// a second.
const ASIDE_MS: u64 = 1_000;

/// A gate's settings.
#[derive(Debug)]
pub(super) struct Settings {
    /// `None` for an environment that makes no limits: then nobody is admitted.
    base: Option<Effective>,
    known: RefCell<Known>,
    looked_ms: Cell<u64>,
}

#[derive(Debug)]
struct Known {
    held: Held,
    effective: Option<Rc<Effective>>,
}

impl Settings {
    pub(super) fn new(env: &Env) -> Self {
        let base = environment::limits(env)
            .ok()
            .map(|limits| Effective::new(limits, environment::ttl(env).unwrap_or_default()));
        let known = Known { held: Held::default(), effective: base.clone().map(Rc::new) };
        Self { base, known: RefCell::new(known), looked_ms: Cell::default() }
    }

    /// What holds now.
    pub(super) fn effective(&self) -> Option<Rc<Effective>> {
        self.known.borrow().effective.clone()
    }

    /// How long things are held.
    pub(super) fn ttl(&self) -> Ttl {
        self.known.borrow().effective.as_ref().map_or_else(Ttl::default, |effective| effective.ttl)
    }

    /// The platform's document, for an isolate that knows an older one.
    pub(super) fn newer_than(&self, version: i64) -> Option<Stored> {
        let known = self.known.borrow();
        (known.held.platform.version > version).then(|| known.held.platform.clone())
    }

    /// Takes what a refresh has read. The highest version wins: refreshes may overtake each other.
    pub(super) fn learn(&self, read: &Held) {
        let mut known = self.known.borrow_mut();
        let newer = |mine: &Stored, read: &Stored| mine.version < read.version;
        let (own, everybodys) = (newer(&known.held.own, &read.own), newer(&known.held.platform, &read.platform));
        if own {
            known.held.own.clone_from(&read.own);
        }
        if everybodys {
            known.held.platform.clone_from(&read.platform);
        }
        if own || everybodys {
            let texts = [known.held.platform.document.clone(), known.held.own.document.clone()];
            let base = self.base.clone();
            known.effective = base.map(|base| Rc::new(base.with_stored(texts.iter().map(String::as_str))));
        }
    }

    /// Whether a gate without a tenant should look again, now and by whoever asks.
    pub(super) fn is_to_look(&self, now_ms: u64) -> bool {
        let every_ms = self.ttl().gate_refresh_ms.saturating_sub(ASIDE_MS).max(LEAST_MS);
        let is_to_look = now_ms.saturating_sub(self.looked_ms.get()) >= every_ms;
        if is_to_look {
            self.looked_ms.set(now_ms);
        }
        is_to_look
    }

    /// Reads the platform's document, beside the callers. What cannot be read changes nothing.
    pub(super) async fn look(&self, neon: Option<&Neon>, now_ms: u64) {
        let Some(neon) = neon else { return };
        let mut random = [0; 24];
        getrandom::fill(&mut random).ok();
        let (trace, timings) = (Traceparent::new(random).to_string(), Timings::default());
        let session = Session::new(neon, operator(platform()), Deadline::at(now_ms + LOAD_MS), &trace, &timings);
        if let Ok(Some(read)) = drey_store::settings::get(&session, platform()).await {
            self.learn(&Held { own: Stored::default(), platform: read.platform });
        }
    }
}
