//! Presence: who is in a workspace's room.

use drey_core::presence::Identity;
use drey_core::refusal::Code;
use drey_core::sync::ClientId;
use drey_durable_objects::workspace_presence::{PresenceClient, PresenceError};

use crate::answer::Answer;
use crate::call::Call;
use crate::edge::boundary::Header;
use crate::edge::random;
use crate::problem::{Outcome, Problem};

/// Join the room by WebSocket, or read who is there.
pub(super) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    if call.request.wants_websocket() { join(call).await } else { snapshot(call).await }
}

/// The upgrade is passed to the room after admission: the room believes the identity because only the Worker can
/// reach it.
async fn join(call: &Call<'_>) -> Outcome<Answer> {
    origin(call)?;
    let access = call.workspace()?;
    let principal = call.principal()?;
    let identity = Identity {
        workspace: access.workspace,
        client_id: client_id(call)?,
        user_id: principal.user,
        name: principal.name.clone(),
        role: access.role,
        expires_at_ms: principal.expires_ms,
        authz_epoch: call.grant().map_or(0, |grant| grant.authz_epoch),
    };
    let region = call.grant().map(|grant| grant.region);
    let response = room(call).connect(access.workspace, region, &identity).await.map_err(problem)?;
    Ok(Answer::raw(response))
}

/// A page of who is there.
async fn snapshot(call: &Call<'_>) -> Outcome<Answer> {
    let access = call.workspace()?;
    let limit = call.request.query.number("limit", 1..=100)?.unwrap_or(50);
    let after = call.request.query.get("cursor");
    let page = room(call).snapshot(access.workspace, after, limit).await.map_err(problem)?;
    Answer::json(200, &page)
}

fn room<'a>(call: &Call<'a>) -> PresenceClient<'a> {
    PresenceClient { env: call.request.env, timeout_ms: call.request.remaining_ms() }
}

fn problem(error: PresenceError) -> Problem {
    match error {
        PresenceError::Refused(refusal) => refusal.into(),
        other => Problem::unavailable(Code::UpstreamUnavailable, other.to_string(), 1),
    }
}

/// A page of another site must not join with a visitor's credentials: browsers send where a socket comes from.
fn origin(call: &Call<'_>) -> Outcome<()> {
    let Some(origin) = call.request.head.header(Header::Origin) else { return Ok(()) };
    let origins = &call.request.app.config.cors_origins;
    if origins.iter().any(|known| known == "*" || known == origin) {
        return Ok(());
    }
    Err(Problem::new(Code::OriginNotAllowed, "This origin may not join. An operator can add it to CORS_ORIGINS."))
}

/// A client that comes back under its own id takes its place; one without an id gets one.
fn client_id(call: &Call<'_>) -> Outcome<ClientId> {
    let minted = || format!("{:032x}", u128::from_be_bytes(random::bytes()));
    let text = call.request.query.get("client_id").map_or_else(minted, str::to_owned);
    ClientId::parse(&text).map_err(|error| Problem::parameter("client_id", format!("It {error}.")))
}
