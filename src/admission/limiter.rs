//! Where a caller is charged: at his gate, in the hop that says who he is, or in Redis right after it.
//!
//! A gate of a deployment that counts in Redis charges nothing itself: its grant names the buckets, with the settings
//! that hold for this caller, and this isolate charges them by one `EVAL`. Membership comes first either way, so a
//! stranger takes nothing from a tenant's buckets.

use drey_core::lease::{Admission, Denial, Grant};
use drey_core::limit::Charge;
use drey_core::limit::redis::{Charged, Due, command, look, read, refusal_of};
use drey_durable_objects::workspace_gate::{Admit, GateClient, Subject};
use worker::Env;

use crate::app::App;

/// What did not answer.
#[derive(Debug)]
pub(super) enum Down {
    /// The gate: nobody says who may call.
    Gate(String),
    /// The Redis: the caller may, but nobody has counted him.
    Limiter { grant: Box<Grant>, due: Due, cause: String },
}

/// Asks the gate, and charges what it leaves to be charged.
pub(super) async fn ask(
    app: &App,
    env: &Env,
    subject: &Subject,
    admit: &Admit,
    timeout_ms: u32,
) -> Result<Admission, Down> {
    let client = GateClient { env, timeout_ms };
    let answer = client.admit(subject, admit).await.map_err(|error| Down::Gate(error.to_string()))?;
    let mut grant = match answer {
        Admission::Granted(grant) => grant,
        Admission::Denied(denial) => return Ok(Admission::Denied(besides(app, subject, denial).await)),
        other => return Ok(other),
    };
    app.neon.traffic.add(grant.round_trips.unwrap_or_default());
    let Some(due) = grant.due.take() else { return Ok(Admission::Granted(grant)) };
    match in_redis(app, subject, &due).await {
        Ok(Charged { charge: Charge::Allowed { view }, extra, shadow }) => {
            let tokens = due.cost.saturating_add(extra);
            grant.shadow.extend(shadow);
            Ok(Admission::Granted(Grant { tokens, view, ..grant }))
        }
        Ok(Charged { charge, .. }) => Ok(Denial::by_buckets(charge).map_or(Admission::Unavailable, Admission::Denied)),
        Err(cause) => Err(Down::Limiter { grant: Box::new(grant), due, cause }),
    }
}

/// One `EVAL`. An answer that no bucket can have given is none.
async fn in_redis(app: &App, subject: &Subject, due: &Due) -> Result<Charged, String> {
    let reply = reply(app, subject, due).await?;
    read(due, &reply).ok_or_else(|| "an answer that no bucket can have given".to_owned())
}

/// A refusal of the gate, and of the buckets in Redis that would refuse as well. Whatever Redis answers, it is a refusal.
async fn besides(app: &App, subject: &Subject, mut denial: Denial) -> Denial {
    let Some(due) = denial.due.take() else { return denial };
    let refused = reply(app, subject, &look(&due)).await.ok().and_then(|reply| refusal_of(&due, &reply));
    match refused.and_then(Denial::by_buckets) {
        Some(refused) => denial.and(refused),
        None => denial,
    }
}

async fn reply(app: &App, subject: &Subject, due: &Due) -> Result<Vec<u64>, String> {
    let redis = app.redis.as_ref().ok_or("the gate counts in Redis, and this Worker has none")?;
    let command = command(app.config.environment.as_str(), &subject.name(), due);
    redis.charge(&command).await.map_err(|error| error.to_string())
}
