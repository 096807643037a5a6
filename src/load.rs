//! How much an isolate works on at once, and what it turns away before that grows into a delay for everybody.
//!
//! Above `MAX_IN_FLIGHT` requests only those are taken whose answer may be in a copy, and they end where it is not; above
//! twice that, nothing but probes. What is turned away at the door has cost nothing: no hop, no body, no query.

use std::cell::Cell;
use std::rc::Rc;

use drey_core::cache::CacheProfile;
use drey_core::refusal::{Code, Refusal};

use crate::app::App;
use crate::problem::{Outcome, Problem};
use crate::routes::{Limit, Policy, Route, Who};

/// Seconds: what is under way now is done by then, or its deadlines soon are.
const RETRY_AFTER_S: u32 = 1;

/// The requests of an isolate.
#[derive(Debug)]
pub struct Load {
    most: u64,
    in_flight: Cell<u64>,
}

/// One request under way. It is counted until this is dropped, also when its client has gone away.
#[derive(Debug)]
pub struct UnderWay(Rc<App>);

impl Load {
    /// Nothing under way yet.
    #[must_use]
    pub const fn new(most: u64) -> Self {
        Self { most, in_flight: Cell::new(0) }
    }

    /// How many requests are under way.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.in_flight.get()
    }

    /// At the door: whether a request of this row is taken at all.
    pub fn admit(&self, route: &Route) -> Outcome<()> {
        let most = if is_cheap(&route.policy) { self.most.saturating_mul(2) } else { self.most };
        if route.policy.limit == Limit::Free || self.in_flight.get() <= most { Ok(()) } else { Err(overloaded()) }
    }

    /// Where no copy was found: whether a request that was taken as a cheap one may ask Postgres.
    pub fn admit_work(&self, route: &Route) -> Outcome<()> {
        if !is_cheap(&route.policy) || self.in_flight.get() <= self.most { Ok(()) } else { Err(overloaded()) }
    }
}

impl UnderWay {
    /// Counts a request.
    #[must_use]
    pub fn new(app: &Rc<App>) -> Self {
        app.load.in_flight.set(app.load.in_flight.get() + 1);
        Self(Rc::clone(app))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.load.in_flight.set(self.0.load.in_flight.get().saturating_sub(1));
    }
}

/// Whether the answer may be in a copy: reads of a workspace, and what is public.
const fn is_cheap(policy: &Policy) -> bool {
    match policy.cache {
        CacheProfile::NoStore => false,
        CacheProfile::Tenant | CacheProfile::Immutable => matches!(policy.who, Who::Workspace(_)),
        CacheProfile::PublicShort | CacheProfile::PublicMedium | CacheProfile::PublicLong => true,
    }
}

fn overloaded() -> Problem {
    let detail = "More is under way here than drey takes at once. Retry after the time given.";
    Refusal::new(Code::Overloaded, detail).with_retry_after(RETRY_AFTER_S).into()
}
