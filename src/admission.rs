//! Who is calling, and may he: credential, then the gate.
//!
//! In scope: the order of the checks and what each refusal says. Out of scope: signatures ([`crate::edge::crypto`]),
//! limits and roles (the gate, `drey_core::limit`).

mod api_key;
mod credential;
mod flood;
mod gate;
mod insurance;
mod jwks;
mod leases;
mod limiter;
mod operator;
mod remembered;
mod strangers;
mod tenant;

use std::rc::Rc;

use drey_core::id::{OrgId, UserId, WorkspaceId};
use drey_core::lease::{Denial, Grant};
use drey_core::limit::{LimitView, Tier};
use drey_core::quota;
use drey_core::refusal::{Code, Refusal};
use drey_durable_objects::workspace_gate::Subject;

use crate::app::App;
use crate::call::Access;
use crate::context::Context;
use crate::edge::random;
use crate::problem::{Outcome, Problem};
use crate::request::Request;
use crate::respond::Facts;
use crate::routes::{Limit, Who, tickets};

pub use api_key::{ApiKeys, HeldKey};
pub use credential::Verified;
pub use flood::{Floods, stranger as charge_stranger};
pub use insurance::Insurance;
pub use jwks::KeySets;
pub use leases::Leases;
pub use remembered::Remembered;
pub use strangers::Strangers;
pub use tenant::agree as tenant_headers_agree;

/// A verified person, or an API key that acts as one. The credential itself is kept nowhere.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Our id of the (issuer, subject); the creator of a key.
    pub user: UserId,
    /// The token's name claim or the key's name, shown to others in presence.
    pub name: Option<String>,
    /// When the credential ends, in milliseconds since the epoch. No lease outlives it.
    pub expires_ms: u64,
    /// The key that acts as the person.
    pub key: Option<Rc<HeldKey>>,
}

/// What admission leaves for the answer: the proof, and the limits to publish.
#[derive(Debug)]
pub struct Admitted {
    /// What the handler may do.
    pub access: Access,
    /// The state of the tier's policy.
    pub limits: Option<LimitView>,
    /// The state of the organisation's day, where one pays.
    pub daily: Option<LimitView>,
}

/// Admits a request by its row's policy, or says why not.
/// What is learned on the way is noted in `facts`, so that a refusal is logged with its caller and tenant.
pub async fn admit(request: &Request<'_>, facts: &mut Facts) -> Outcome<Admitted> {
    let (tier, cost) = match request.route.policy.limit {
        Limit::Free => return Ok(Admitted { access: Access::Public, limits: None, daily: None }),
        Limit::Tier(tier, cost) => limit(request, tier, cost),
    };
    if request.route.policy.who == Who::Public {
        let limits = flood::charge(request, tier, cost).await?;
        return Ok(Admitted { access: Access::Public, limits, daily: None });
    }
    if request.route.policy.who == Who::Operator {
        return operator::admit(request, tier, cost).await;
    }
    if let Some(ticket) = tickets::brought(request) {
        return by_ticket(request, &ticket).await;
    }
    let principal = credential::verify(request).await?;
    facts.actor = Some(principal.user);
    facts.api_key = principal.key.as_ref().map(|key| key.id);
    facts.tenant = tenant_of(request);
    // A key belongs to one workspace: outside of it there is nothing for it, not even its creator's limits.
    if let (Some(key), Who::Public | Who::Operator | Who::User | Who::Org(_)) =
        (&principal.key, request.route.policy.who)
    {
        api_key::permits(request, key)?;
    }
    match request.route.policy.who {
        Who::Public | Who::Operator | Who::User => by_user(request, principal, tier, cost).await,
        Who::Org(_) => tenant::by_org(request, principal, tier, cost).await,
        Who::Workspace(_) => tenant::by_workspace(request, principal, tier, cost).await,
    }
}

/// The tenant that the path names: an id, and never what somebody has pasted in its place, because it is logged.
fn tenant_of(request: &Request<'_>) -> Option<String> {
    let (_, id) = request.parameters.first()?;
    let is_one = match request.route.policy.who {
        Who::Org(_) => OrgId::parse(id).is_ok(),
        Who::Workspace(_) => WorkspaceId::parse(id).is_ok(),
        Who::Public | Who::Operator | Who::User => false,
    };
    is_one.then(|| id.clone())
}

/// Tier and cost of the row, or what the settings have in their place.
fn limit(request: &Request<'_>, tier: Tier, cost: u32) -> (Tier, u32) {
    let settings = request.app.settings.effective();
    if settings.routes.is_empty() {
        return (tier, cost);
    }
    settings.route(&format!("{} {}", request.route.method, request.route.path), tier, cost)
}

/// What a grant tells besides: the platform's newer settings, and the policies in shadow that would have refused.
fn learn(app: &App, context: &Context, grant: &Grant) {
    if let Some(settings) = &grant.settings {
        app.settings.learn(settings);
    }
    if !grant.shadow.is_empty() {
        context.shadow.borrow_mut().extend(grant.shadow.iter().cloned());
    }
}

/// A ticket was admitted and charged when it was made, and is good once: its room vouches for it. One that is forged, over or
/// known to be used pays like any unknown credential, and reaches nothing.
async fn by_ticket(request: &Request<'_>, ticket: &str) -> Outcome<Admitted> {
    if tickets::may_be_good(request, ticket)? {
        return Ok(Admitted { access: Access::Public, limits: None, daily: None });
    }
    flood::stranger(request).await?;
    Err(tickets::refused())
}

async fn by_user(request: &Request<'_>, principal: Principal, tier: Tier, cost: u32) -> Outcome<Admitted> {
    let (_, view) = gate::admit(request, Subject::User(principal.user), &principal, tier, cost).await?;
    Ok(Admitted { access: Access::User(principal), limits: Some(view), daily: None })
}

/// 503 without a guess: authorization never opens because a gate is down.
#[must_use]
pub fn gate_unavailable(cause: &str) -> Problem {
    Problem::unavailable(Code::GateUnavailable, cause, random::soon_s())
}

/// 503: the strict tier stays closed while nobody counts.
fn limiter_unavailable(cause: &str) -> Problem {
    tracing::warn!(target: "limiter", cause, "Redis down: the strict tier is closed");
    Problem::unavailable(Code::GateUnavailable, cause, random::soon_s())
}

/// A refusal out of this isolate's memory.
fn limited_again(denial: &Denial) -> Problem {
    Problem { repeated: true, ..limited(denial) }
}

fn limited(denial: &Denial) -> Problem {
    let seconds = u32::try_from(denial.retry_after_ms.div_ceil(1000)).unwrap_or(u32::MAX).max(1);
    let day_is_used_up = denial.policies.iter().any(|policy| policy == quota::POLICY);
    let (code, what) = if day_is_used_up {
        (Code::QuotaExceeded, "The organisation's calls of this day are used up.")
    } else {
        (Code::RateLimited, "Too many requests.")
    };
    let mut problem: Problem =
        Refusal::new(code, format!("{what} Retry after {seconds} s.")).with_retry_after(seconds).into();
    problem.extension = Some(("violated-policies", denial.policies.clone().into()));
    problem.headers = drey_core::limit::headers(&denial.view, None);
    problem
}

/// The role a row asks for is more than the caller has.
fn too_little(needed: &str, has: &str) -> Problem {
    Problem::new(Code::Forbidden, format!("This needs the role `{needed}`; yours is `{has}`."))
}
