//! Admission while a gate is down: authorization asks Postgres and never opens; limits fall back to a small local
//! bucket, and the strict tier is closed. While only the Redis that counts is down, the gate still says who may call.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use drey_core::id::{ApiKeyId, UserId};
use drey_core::lease::{Denial, Grant};
use drey_core::limit::redis::Due;
use drey_core::limit::{Bucket, BucketKind, BucketSpec, Charge, LimitView, Limits, Tier, charge};
use drey_core::role::{Plan, Region};
use drey_durable_objects::workspace_gate::{Admit, Subject};
use drey_store::{Caller, Session, gate};
use lru::LruCache;

use super::{gate_unavailable, limited, limiter_unavailable};
use crate::edge::clock;
use crate::problem::{Outcome, Problem};
use crate::request::Request;

/// 1,024 callers of an isolate can be insured at once; one more evicts the one unseen for longest.
const MOST_INSURED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
/// The share of a tier that one isolate gives away by itself: ten isolates together give what the gate would have.
const SHARE: u64 = 10;

/// Whose bucket: a person's, or of a key that acts as one.
type Insured = (UserId, Option<ApiKeyId>, Tier);

/// The local buckets of an isolate.
#[derive(Debug)]
pub struct Insurance {
    buckets: RefCell<LruCache<Insured, Bucket>>,
}

impl Default for Insurance {
    fn default() -> Self {
        Self { buckets: RefCell::new(LruCache::new(MOST_INSURED)) }
    }
}

impl Insurance {
    /// Admits without the gate, or refuses.
    pub async fn admit(
        &self,
        request: &Request<'_>,
        subject: &Subject,
        admit: &Admit,
        cause: &str,
    ) -> Outcome<(Rc<Grant>, LimitView)> {
        let (Some(user), false) = (admit.principal, admit.tier == Tier::Strict) else {
            return Err(gate_unavailable(cause));
        };
        tracing::warn!(target: "gate", cause, object = subject.name(), "gate down: admitting on insurance");
        // Charged first: a caller over his share does not get to ask Postgres.
        let whole = request.app.settings.effective().limits.bucket(admit.tier, BucketKind::Principal, Plan::Free);
        let view = self.charge(share(whole), user, admit.api_key, admit.cost)?;
        let grant = authorize(request, subject, user).await?.ok_or_else(Problem::not_found)?;
        Ok((Rc::new(grant), view))
    }

    /// Charges a caller whom his gate has let in and whom Redis did not count, or refuses.
    pub(super) fn without_limiter(
        &self,
        subject: &Subject,
        admit: &Admit,
        due: &Due,
        cause: &str,
    ) -> Outcome<LimitView> {
        let (Some(user), Some(own), false) = (admit.principal, due.buckets.first(), admit.tier == Tier::Strict) else {
            return Err(limiter_unavailable(cause));
        };
        tracing::warn!(target: "limiter", cause, object = subject.name(), "Redis down: admitting on insurance");
        self.charge(share(own.spec), user, admit.api_key, admit.cost)
    }

    /// Charges a caller for naming a tenant that is not his: no gate of a stranger may keep his account.
    pub fn charge_stranger(&self, limits: &Limits, user: UserId) -> Outcome<()> {
        self.charge(limits.bucket(Tier::Anonymous, BucketKind::Principal, Plan::Free), user, None, 1).map(|_| ())
    }

    fn charge(&self, spec: BucketSpec, user: UserId, api_key: Option<ApiKeyId>, cost: u32) -> Outcome<LimitView> {
        let mut buckets = self.buckets.borrow_mut();
        let bucket = buckets.get_or_insert_mut((user, api_key, spec.tier), || Bucket::fresh(spec));
        match charge(std::slice::from_mut(bucket), clock::now_ms(), cost) {
            Some(Charge::Allowed { view }) => Ok(view),
            Some(Charge::Denied { retry_after_ms, policies, view }) => {
                Err(limited(&Denial { retry_after_ms, policies, view, believe_ms: None }))
            }
            None => Err(gate_unavailable("no bucket to charge")),
        }
    }
}

/// What one isolate gives away of a bucket.
fn share(whole: BucketSpec) -> BucketSpec {
    BucketSpec { limit: (whole.limit / SHARE).max(1), burst: (whole.burst / SHARE).max(1), ..whole }
}

/// The role as Postgres has it now.
async fn authorize(request: &Request<'_>, subject: &Subject, user: UserId) -> Outcome<Option<Grant>> {
    let context = request.context;
    let neon = &request.app.neon;
    let session = Session::new(neon, Caller::default(), context.deadline, &request.trace, &context.timings);
    Ok(match subject {
        Subject::Workspace(workspace) => gate::workspace(&session, *workspace, user).await?.map(known),
        Subject::Org(org) => gate::org(&session, *org, user).await?.map(known),
        Subject::User(_) | Subject::Anonymous(_) => Some(tenantless()),
    })
}

fn known<R: std::fmt::Display>(state: gate::GateState<R>) -> Grant {
    Grant {
        role: state.role.map(|role| role.to_string()).unwrap_or_default(),
        org: Some(state.org),
        plan: state.plan,
        region: state.region,
        revision: state.revision,
        authz_epoch: state.authz_epoch,
        ..tenantless()
    }
}

fn tenantless() -> Grant {
    let view = LimitView { policy: "insurance".to_owned(), limit: 1, window_s: 1, remaining: 0, reset_s: 1 };
    Grant {
        role: String::new(),
        org: None,
        plan: Plan::Free,
        region: Region::WesternEurope,
        revision: 0,
        authz_epoch: 0,
        workspace_lease_ms: 0,
        tokens: 1,
        tokens_ms: 0,
        view,
        stale_ms: None,
        daily: None,
        due: None,
        shadow: Vec::new(),
        settings: None,
    }
}
