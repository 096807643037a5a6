//! Flood zones: how much one address (an IPv6 /64) may call before this isolate knows its credential.
//!
//! Only calls whose credential this isolate has not verified count: none, unknown, invalid. So a flood of bad tokens costs
//! neither signature checks nor Postgres, and a known caller is governed by his own buckets alone. A brake that is down
//! lets the call through: what a credential protects is still behind the credential.

use std::cell::RefCell;
use std::num::NonZeroUsize;

use drey_core::lease::{Admission, Denial};
use drey_core::limit::{LimitView, Tier, seconds_up};
use drey_durable_objects::workspace_gate::{Admit, GateClient, Subject, address_key};
use lru::LruCache;

use super::{limited, limited_again};
use crate::edge::clock;
use crate::problem::Outcome;
use crate::request::Request;
use crate::routes::Limit;

/// 4,096 addresses are about 1 MB.
const MOST_REFUSED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);
/// What the platform's bindings in `wrangler.toml` count over. They tell only yes or no, not when there is room again: after
/// the whole of it there is.
const PLATFORM_WINDOW_S: u64 = 60;

/// Addresses that were refused a moment ago: until their time is over they cost no hop.
#[derive(Debug)]
pub struct Floods {
    refused: RefCell<LruCache<(Tier, String), Refused>>,
}

/// A refusal, until when it lasts, and until when it is believed: the limit may be raised before.
#[derive(Debug)]
struct Refused {
    denial: Denial,
    until_ms: u64,
    believed_until_ms: u64,
}

impl Default for Floods {
    fn default() -> Self {
        Self { refused: RefCell::new(LruCache::new(MOST_REFUSED)) }
    }
}

impl Floods {
    fn denial(&self, zone: &(Tier, String), now_ms: u64) -> Option<Denial> {
        let mut refused = self.refused.borrow_mut();
        let Refused { denial, until_ms, .. } =
            refused.get(zone).filter(|refused| now_ms < refused.believed_until_ms)?;
        let retry_after_ms = until_ms.saturating_sub(now_ms);
        let view = LimitView { reset_s: seconds_up(retry_after_ms), ..denial.view.clone() };
        Some(Denial { retry_after_ms, view, ..denial.clone() })
    }

    fn refuse(&self, zone: (Tier, String), denial: Denial, now_ms: u64) {
        let until_ms = now_ms.saturating_add(denial.retry_after_ms);
        let believed_until_ms = denial.believe_ms.map_or(until_ms, |ms| now_ms.saturating_add(ms).min(until_ms));
        self.refused.borrow_mut().put(zone, Refused { denial, until_ms, believed_until_ms });
    }
}

/// Charges a caller whose credential this isolate does not know. Credentials are tried where something is to be won: the
/// strict tier has a narrower zone of its own.
pub async fn stranger(request: &Request<'_>) -> Outcome<()> {
    let strict = match request.route.policy.limit {
        Limit::Tier(tier, cost) => super::limit(request, tier, cost).0 == Tier::Strict,
        Limit::Free => false,
    };
    charge(request, if strict { Tier::SignIn } else { Tier::Anonymous }, 1).await.map(|_| ())
}

/// Charges an address: by the platform's rate-limit binding where there is one (no hop), else by one of 64 gates.
pub(super) async fn charge(request: &Request<'_>, tier: Tier, cost: u32) -> Outcome<Option<LimitView>> {
    match platform(request, tier).await {
        Some(true) => Ok(None),
        Some(false) => Err(limited(&by_platform(tier))),
        None => by_address(request, tier, cost).await,
    }
}

/// Charges an address at its gate.
pub(super) async fn by_address(request: &Request<'_>, tier: Tier, cost: u32) -> Outcome<Option<LimitView>> {
    let address = request.context.address.clone();
    let zone = (tier, address_key(&address));
    let floods = &request.app.floods;
    if let Some(denial) = floods.denial(&zone, clock::now_ms()) {
        return Err(limited_again(&denial));
    }
    let subject = Subject::anonymous(&address);
    let settings = request.app.settings.version();
    let admit = Admit {
        principal: None,
        api_key: None,
        address,
        tier,
        cost,
        wanted: 0,
        held: 0,
        least_revision: None,
        settings,
        writes: None,
    };
    let timeout_ms = request.remaining_ms().min(request.app.config.gate_timeout_ms);
    let client = GateClient { env: request.env, timeout_ms };
    let sent_ms = clock::now_ms();
    request.context.gate_hops.set(request.context.gate_hops.get() + 1);
    match client.admit(&subject, &admit).await {
        Ok(Admission::Granted(grant)) => {
            super::learn(request.app, request.context, &grant);
            Ok(Some(grant.view))
        }
        Ok(Admission::Denied(denial)) => {
            let refusal = limited(&denial);
            floods.refuse(zone, denial, sent_ms);
            Err(refusal)
        }
        Ok(_) | Err(_) => Ok(None),
    }
}

/// The platform's verdict, if the zone's binding is configured; it counts per location, an abuse brake and no quota.
async fn platform(request: &Request<'_>, tier: Tier) -> Option<bool> {
    let limiter = match tier {
        Tier::SignIn => request.env.rate_limiter("SIGNIN_LIMIT"),
        _ => request.env.rate_limiter("ANON_LIMIT"),
    };
    let outcome = limiter.ok()?.limit(address_key(&request.context.address)).await.ok()?;
    Some(outcome.success)
}

/// The numbers of the bindings in `wrangler.toml`.
fn by_platform(tier: Tier) -> Denial {
    let limit = if tier == Tier::SignIn { 60 } else { 600 };
    let (policy, window_s) = (tier.as_str(), PLATFORM_WINDOW_S);
    let view = LimitView { policy: policy.into(), limit, window_s, remaining: 0, reset_s: window_s };
    let policies = vec![policy.to_owned()];
    Denial { retry_after_ms: window_s * 1_000, policies, view, believe_ms: None, due: None }
}
