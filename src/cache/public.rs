//! Copies of public answers: the same for everybody, until their profile's time is over or one of their tags is raised.
//!
//! An isolate knows the versions of the tags for at most `TAG_REFRESH_MS`, so a purge is effective within that. While they
//! cannot be had no copy is used or made: the answer is built anew.

use std::cell::RefCell;
use std::rc::Rc;

use drey_core::cache::tags::{self, Versions};
use drey_durable_objects::workspace_gate::GateClient;

use super::{CacheStatus, Copy, MOST_BYTES, shared, store_shared};
use crate::answer::Answer;
use crate::edge::clock;
use crate::problem::Outcome;
use crate::request::Request;

/// Which build made a copy: another may describe another API.
const BUILD: &str = match option_env!("DREY_BUILD") {
    Some(build) => build,
    None => env!("CARGO_PKG_VERSION"),
};
/// Building the answer anew is quicker than waiting longer for the versions.
const PATIENCE_MS: u32 = 250;
/// Under which a stored copy keeps the moment it was made at.
const MADE: &str = "x-drey-made-ms";

/// What this isolate knows of the tags.
#[derive(Debug, Default)]
pub struct Tags {
    known: RefCell<(u64, Rc<Versions>)>,
}

impl Tags {
    /// Takes versions that were asked for at `sent_ms`.
    pub fn learn(&self, versions: &Versions, sent_ms: u64) -> Rc<Versions> {
        let mut known = self.known.borrow_mut();
        let mut merged = Versions::clone(&known.1);
        merged.merge(versions);
        *known = (known.0.max(sent_ms), Rc::new(merged));
        Rc::clone(&known.1)
    }

    async fn versions(&self, request: &Request<'_>) -> Option<Rc<Versions>> {
        let sent_ms = clock::now_ms();
        let (known_ms, versions) = self.known.borrow().clone();
        if sent_ms < known_ms.saturating_add(request.app.settings.effective().ttl.tag_refresh_ms) {
            return Some(versions);
        }
        let client = GateClient { env: request.env, timeout_ms: request.remaining_ms().min(PATIENCE_MS) };
        let told = client.raise_tags(&[]).await;
        let told = told.inspect_err(|error| tracing::warn!(target: "cache", %error, "no copy of a public answer"));
        Some(self.learn(&told.ok()?, sent_ms))
    }
}

/// Where the copy of a public answer is kept, and for how long.
#[derive(Debug)]
pub struct Slot {
    key: String,
    seconds: u32,
}

/// The slot of a request, if its row is public and the versions of its tags are known.
pub async fn slot(request: &Request<'_>) -> Option<Slot> {
    let profile = request.route.policy.cache;
    if !profile.is_public() || request.route.method != "GET" {
        return None;
    }
    let seconds = profile.public_seconds(&request.app.settings.effective().ttl)?;
    let versions = request.app.tags.versions(request).await?;
    let key = tags::key(BUILD, &versions, request.route.path, &request.head.path, &request.head.query);
    Some(Slot { key, seconds })
}

/// The copy, if it is young enough: of this isolate, of this data centre.
pub async fn find(request: &Request<'_>, slot: &Slot) -> Option<(Answer, CacheStatus)> {
    let memory = &request.app.memory;
    if let Some(answer) = memory.get(&slot.key).and_then(|copy| aged(request, slot, &copy)) {
        return Some((answer, CacheStatus::Memory));
    }
    let (copy, _) = shared(&slot.key, u32::MAX).await?;
    let copy = Rc::new(copy);
    let answer = aged(request, slot, &copy)?;
    memory.put(slot.key.clone(), copy);
    Some((answer, CacheStatus::Shared))
}

/// The answer with its age (RFC 9111 §5.1), so that caches on the way do not count its time from the beginning again.
fn aged(request: &Request<'_>, slot: &Slot, copy: &Copy) -> Option<Answer> {
    let mut answer = super::answer(request, copy);
    let made_ms: u64 = answer.header(MADE)?.parse().ok()?;
    let age_s = clock::now_ms().saturating_sub(made_ms) / 1000;
    answer.headers.retain(|(name, _)| name != MADE);
    (age_s < u64::from(slot.seconds)).then(|| answer.with("age", age_s.to_string()))
}

/// Keeps an answer: in the isolate at once, in the data centre after the response has left.
pub fn keep(request: &Request<'_>, slot: Slot, outcome: &Outcome<Answer>) {
    let Some(answer) = outcome.as_ref().ok().filter(|answer| answer.status == 200) else { return };
    if answer.body.len() > MOST_BYTES {
        return;
    }
    let mut copy = Copy::of(answer);
    copy.headers.push((MADE.into(), clock::now_ms().to_string().into()));
    let copy = Rc::new(copy);
    request.app.memory.put(slot.key.clone(), Rc::clone(&copy));
    request.worker.wait_until(async move { store_shared(&slot.key, &copy, slot.seconds).await });
}
