//! How much an isolate works on at once, and what it turns away before that grows into a delay for everybody.
//!
//! Above `MAX_IN_FLIGHT` requests only those are taken whose answer may be in a copy, and they end where it is not; above
//! twice that, nothing but probes. Large bodies have a measure of their own, `MAX_BODY_BYTES`, because an isolate has
//! 128 MB and holds each of them several times. What is turned away at the door has cost nothing: no hop, no body, no query.

use std::cell::Cell;
use std::rc::Rc;

use drey_core::cache::CacheProfile;
use drey_core::refusal::{Code, Refusal};

use crate::app::App;
use crate::problem::{Outcome, Problem};
use crate::routes::{BODY_BYTES, Body, Limit, Policy, Route, Who};

/// Seconds: what is under way now is done by then, or its deadlines soon are.
const RETRY_AFTER_S: u32 = 1;

/// How many requests may wait for each that may be under way.
const WAITING_FOR_EACH: u64 = 10;

/// The requests of an isolate.
#[derive(Debug)]
pub struct Load {
    most: u64,
    most_bytes: u64,
    in_flight: Cell<u64>,
    bytes: Cell<u64>,
    waiting: Cell<u64>,
}

/// One request under way. It is counted until this is dropped, also when its client has gone away.
#[derive(Debug)]
pub struct UnderWay(Rc<App>);

impl Load {
    /// Nothing under way yet.
    #[must_use]
    pub const fn new(most: u64, most_bytes: u64) -> Self {
        Self { most, most_bytes, in_flight: Cell::new(0), bytes: Cell::new(0), waiting: Cell::new(0) }
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

/// A large body that there is room for, until this is dropped.
#[derive(Debug)]
pub struct Carried(Rc<App>, u64);

impl Carried {
    /// Room for the body of a request, if it needs any: what it declares, or without a length what its row allows. One
    /// large body is always taken.
    pub fn new(app: &Rc<App>, route: &Route, raw: &web_sys::Request) -> Outcome<Option<Self>> {
        let Body::Json(_, limit) = route.policy.body else { return Ok(None) };
        if limit <= BODY_BYTES {
            return Ok(None);
        }
        let declared = raw.headers().get("content-length").ok().flatten().and_then(|length| length.parse::<u64>().ok());
        let bytes = declared.unwrap_or(u64::MAX).min(limit.into());
        let carried = app.load.bytes.get();
        if bytes <= u64::from(BODY_BYTES) {
            return Ok(None);
        }
        if carried > 0 && carried + bytes > app.load.most_bytes {
            return Err(overloaded());
        }
        app.load.bytes.set(carried + bytes);
        Ok(Some(Self(Rc::clone(app), bytes)))
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.0.load.bytes.set(self.0.load.bytes.get().saturating_sub(self.1));
    }
}

/// A request that waits for others and does nothing meanwhile: it is not counted until this is dropped.
#[derive(Debug)]
pub struct Waiting(Rc<App>);

impl Waiting {
    /// Takes a request out of the count, unless ten times as many wait as may be under way: each still holds its memory.
    pub fn new(app: &Rc<App>) -> Outcome<Self> {
        let load = &app.load;
        if load.waiting.get() >= load.most.saturating_mul(WAITING_FOR_EACH) {
            return Err(overloaded());
        }
        load.waiting.set(load.waiting.get() + 1);
        load.in_flight.set(load.in_flight.get().saturating_sub(1));
        Ok(Self(Rc::clone(app)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let load = &self.0.load;
        load.waiting.set(load.waiting.get().saturating_sub(1));
        load.in_flight.set(load.in_flight.get() + 1);
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
