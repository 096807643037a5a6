//! Admission while a gate is down: authorization asks Postgres and never opens; limits fall back to a small local
//! bucket, and the strict tier is closed. While only the Redis that counts is down, the gate still says who may call.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use drey_core::id::{ApiKeyId, UserId};
use drey_core::lease::{Denial, Grant};
use drey_core::limit::redis::Due;
use drey_core::limit::{Bucket, BucketKind, BucketSpec, Charge, Given, LimitView, Tier, insured};
use drey_core::role::Plan;
use drey_durable_objects::workspace_gate::{Admit, Subject};
use drey_store::{Caller, Session, gate};
use lru::LruCache;

use super::{gate_unavailable, limited, limiter_unavailable};
use crate::edge::clock;
use crate::problem::{Outcome, Problem};
use crate::request::Request;

/// 1,024 callers of an isolate can be insured at once; one more evicts the one unseen for longest.
const MOST_INSURED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

/// Whose bucket: a person's, or of a key that acts as one; and how much it holds, as tenants of two plans must not make
/// what was taken under the better one forgotten.
type Insured = (UserId, Option<ApiKeyId>, Tier, u64);

/// The local buckets of an isolate.
#[derive(Debug)]
pub struct Insurance {
    buckets: RefCell<LruCache<Insured, Bucket>>,
    given: RefCell<Given>,
}

impl Default for Insurance {
    fn default() -> Self {
        Self { buckets: RefCell::new(LruCache::new(MOST_INSURED)), given: RefCell::default() }
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
        let view = self.insure(insured(whole), user, admit)?;
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
        self.insure(insured(own.spec), user, admit)
    }

    fn insure(&self, spec: BucketSpec, user: UserId, admit: &Admit) -> Outcome<LimitView> {
        let (mut buckets, now_ms) = (self.buckets.borrow_mut(), clock::now_ms());
        let insured = (user, admit.api_key, spec.tier, spec.burst);
        let bucket = buckets.get_or_insert_mut(insured, || Bucket::fresh(spec));
        *bucket = bucket.with_spec(spec, now_ms);
        view(self.given.borrow_mut().charge(bucket, now_ms, admit.cost))
    }
}

fn view(charged: Option<Charge>) -> Outcome<LimitView> {
    let spent = || gate_unavailable("this isolate has given away what it may by itself");
    match charged.ok_or_else(spent)? {
        Charge::Allowed { view } => Ok(view),
        refused @ Charge::Denied { .. } => {
            Err(Denial::by_buckets(refused).map_or_else(spent, |denial| limited(&denial)))
        }
    }
}

/// The role as Postgres has it now.
async fn authorize(request: &Request<'_>, subject: &Subject, user: UserId) -> Outcome<Option<Grant>> {
    let context = request.context;
    let neon = &request.app.neon;
    let session = Session::new(neon, Caller::default(), context.deadline, &context.trace, &context.timings);
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
    let view = LimitView { policy: "insurance".into(), limit: 1, window_s: 1, remaining: 0, reset_s: 1 };
    Grant { tokens: 1, ..Grant::bare(view) }
}
