//! The key sets of the configured issuers, per isolate.
//!
//! A set is asked for again when it is older than its time to live, and for an unknown key id at most every
//! `JWKS_RETRY_MS`, so that a flood of made-up key ids is not passed on to the issuer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use drey_core::jwt::{Algorithm, IssuerConfig, Jwk, Jwks};
use drey_core::refusal::Code;

use crate::edge::fetch;
use crate::problem::{Outcome, Problem};
use crate::request::Request;

/// A key set of a few keys is a few kilobytes; more than this is not a key set.
const MOST_BYTES: usize = 256 * 1024;
/// A key set that does not come within three seconds is answered 503 with a retry.
const TIMEOUT_MS: u32 = 3_000;
/// How many times its time to live a set is trusted while its issuer does not answer: an hour and forty minutes by default.
const STALE_TIMES: u64 = 10;

/// What a token says of its key.
#[derive(Clone, Copy, Debug)]
pub struct KeyName<'a> {
    /// The key id.
    pub kid: &'a str,
    /// The algorithm; a key is only ever used for its own.
    pub algorithm: Algorithm,
}

/// What can be said without asking the issuer.
enum Known {
    /// The key, or that there is none.
    Settled(Option<Jwk>),
    /// Nothing yet.
    Ask,
}

#[derive(Debug)]
struct KeySet {
    keys: Rc<Jwks>,
    fetched_ms: u64,
    tried_ms: u64,
}

/// Every issuer's last known keys.
#[derive(Debug, Default)]
pub struct KeySets {
    sets: RefCell<BTreeMap<String, KeySet>>,
}

impl KeySets {
    /// Whether the issuer's set still holds a key.
    pub fn holds(&self, issuer: &str, kid: &str) -> bool {
        self.sets.borrow().get(issuer).is_some_and(|set| set.keys.has(kid))
    }

    /// A key by its id, asking the issuer when the set is old or does not know it. Each request asks for itself: one
    /// request must never wait for another's I/O.
    pub async fn find(
        &self,
        request: &Request<'_>,
        issuer: &IssuerConfig,
        name: KeyName<'_>,
        now_ms: u64,
    ) -> Outcome<Option<Jwk>> {
        if let Known::Settled(key) = self.known(request, issuer, name, now_ms) {
            return Ok(key);
        }
        let timeout = request.remaining_ms().min(TIMEOUT_MS);
        let fetched = fetch::text(&issuer.jwks_uri, timeout, MOST_BYTES).await;
        let parsed = fetched.and_then(|text| Jwks::parse(&text).map_err(|error| error.to_string()));
        match parsed {
            Ok(keys) => {
                let found = keys.find(name.kid, name.algorithm).cloned();
                self.store(&issuer.issuer, keys, now_ms);
                Ok(found)
            }
            Err(cause) => match self.last_known(request, issuer, name, now_ms) {
                Known::Settled(key) => Ok(key),
                Known::Ask => Err(unreachable(issuer, &cause)),
            },
        }
    }

    /// The answer without asking: a fresh set that knows the key, or one that was asked too lately to be asked again.
    fn known(&self, request: &Request<'_>, issuer: &IssuerConfig, name: KeyName<'_>, now_ms: u64) -> Known {
        let mut sets = self.sets.borrow_mut();
        let Some(set) = sets.get_mut(&issuer.issuer) else { return Known::Ask };
        let config = &request.app.config;
        let found = set.keys.find(name.kid, name.algorithm).cloned();
        let fresh = now_ms < set.fetched_ms.saturating_add(ttl_ms(request));
        let resting = now_ms < set.tried_ms.saturating_add(config.jwks_retry_ms);
        if (found.is_some() && fresh) || resting {
            return Known::Settled(found);
        }
        set.tried_ms = now_ms;
        Known::Ask
    }

    /// A set that cannot be had again is still the last thing its issuer said, but not for ever.
    fn last_known(&self, request: &Request<'_>, issuer: &IssuerConfig, name: KeyName<'_>, now_ms: u64) -> Known {
        let sets = self.sets.borrow();
        let Some(set) = sets.get(&issuer.issuer) else { return Known::Ask };
        let trusted = now_ms < set.fetched_ms.saturating_add(ttl_ms(request).saturating_mul(STALE_TIMES));
        if trusted { Known::Settled(set.keys.find(name.kid, name.algorithm).cloned()) } else { Known::Ask }
    }

    /// Asks an issuer again, off the request's way, when its set is old: a token that is verified already must not
    /// outlive the withdrawal of its key because nobody brought a new one.
    pub fn refresh_aside(request: &Request<'_>, issuer: &str, now_ms: u64) {
        let config = &request.app.config;
        let Some(issuer) = config.issuers.iter().find(|known| known.issuer == issuer) else { return };
        if !request.app.keys.is_due(&issuer.issuer, ttl_ms(request), config.jwks_retry_ms, now_ms) {
            return;
        }
        let (app, name, url) = (Rc::clone(request.app), issuer.issuer.clone(), issuer.jwks_uri.clone());
        request.worker.wait_until(async move {
            let fetched = fetch::text(&url, TIMEOUT_MS, MOST_BYTES).await;
            match fetched.and_then(|text| Jwks::parse(&text).map_err(|error| error.to_string())) {
                Ok(keys) => app.keys.store(&name, keys, now_ms),
                Err(cause) => tracing::warn!(target: "jwks", issuer = name, cause, "not refreshed"),
            }
        });
    }

    fn is_due(&self, issuer: &str, ttl_ms: u64, retry_ms: u64, now_ms: u64) -> bool {
        let mut sets = self.sets.borrow_mut();
        let Some(set) = sets.get_mut(issuer) else { return false };
        let due = now_ms >= set.fetched_ms.saturating_add(ttl_ms) && now_ms >= set.tried_ms.saturating_add(retry_ms);
        if due {
            set.tried_ms = now_ms;
        }
        due
    }

    fn store(&self, issuer: &str, keys: Jwks, now_ms: u64) {
        let mut sets = self.sets.borrow_mut();
        // The first fetch does not count as one for an unknown key: a rotation right after it is followed.
        let tried_ms = sets.get(issuer).map_or(0, |set| set.tried_ms);
        sets.insert(issuer.to_owned(), KeySet { keys: Rc::new(keys), fetched_ms: now_ms, tried_ms });
    }
}

/// How old a set may get before it is asked for again.
fn ttl_ms(request: &Request<'_>) -> u64 {
    request.app.settings.effective().ttl.jwks_ttl_ms
}

fn unreachable(issuer: &IssuerConfig, cause: &str) -> Problem {
    Problem::unavailable(Code::UpstreamUnavailable, format!("the key set of {}: {cause}", issuer.issuer), 2)
}
