//! Probes of load balancers and operators.

use drey_core::refusal::{Code, Refusal};
use drey_store::health;
use serde_json::json;

use crate::answer::Answer;
use crate::call::Call;
use crate::problem::Outcome;

/// Tell that the Worker runs. Nothing is asked of a neighbour.
pub(super) async fn alive(_call: &Call<'_>) -> Outcome<Answer> {
    Answer::json(200, &json!({ "status": "ok" }))
}

/// Tell whether Postgres is reachable, migrated and indexed, and drey's role harmless; name what is missing.
pub(super) async fn ready(call: &Call<'_>) -> Outcome<Answer> {
    let readiness = health::ready(&call.session()?).await?;
    if readiness.is_ready() {
        return Answer::json(200, &json!({ "status": "ok", "checks": CHECKS }));
    }
    let mut refusal = Refusal::new(Code::UpstreamUnavailable, "The database is not ready: see `errors`.");
    refusal = missing(refusal, "migration", &readiness.missing_migrations, "is not applied: run `dbmate up`");
    refusal = missing(refusal, "index", &readiness.missing_indexes, "is missing or invalid: run `dbmate up`");
    if !readiness.role_is_safe {
        refusal = refusal.with_error("role", "bypasses row-level security: connect as a role that cannot");
    }
    Err(refusal.with_retry_after(5).into())
}

/// What `ready` has looked at.
const CHECKS: [&str; 4] = ["database", "migrations", "indexes", "role"];

fn missing(refusal: Refusal, kind: &str, names: &[String], what: &str) -> Refusal {
    names.iter().fold(refusal, |refusal, name| refusal.with_error(format!("{kind}/{name}"), what))
}
