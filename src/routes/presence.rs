//! Presence: who is in a workspace's room.

use drey_core::cache::{self, CacheProfile};
use drey_core::etag;
use drey_core::id::WorkspaceId;
use drey_core::presence::{Identity, MOST_HEARD, MOST_SHOWN, Places, Shown, Shows, state_of};
use drey_core::refusal::Code;
use drey_core::sync::ClientId;
use drey_durable_objects::workspace_presence::{Asked, By, Join, Page, PresenceClient, PresenceError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::admission::charge_stranger;
use crate::answer::Answer;
use crate::call::Call;
use crate::edge::boundary::Header;
use crate::edge::random;
use crate::json;
use crate::problem::{Outcome, Problem};
use crate::routes::tickets;

const STATE: &str = "It is an object of at most 4096 bytes of JSON, or null to leave.";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beat<'a> {
    clock: u64,
    #[serde(borrow)]
    state: &'a RawValue,
    #[serde(default)]
    at: Vec<String>,
}

#[derive(Serialize)]
struct Beaten<'a> {
    client_id: &'a str,
    expires_in_ms: u64,
}

/// Join the room by WebSocket, or read who is there.
pub(super) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    if call.request.wants_websocket() {
        join(call).await
    } else if wants_events(call) {
        listen(call).await
    } else {
        snapshot(call).await
    }
}

/// `HEAD` wants no body, so it has nothing to wait for.
fn wants_events(call: &Call<'_>) -> bool {
    let accepted = call.request.head.header(Header::Accept).unwrap_or_default().split(',');
    let mut types = accepted.map(|one| one.split(';').next().unwrap_or_default().trim());
    call.request.head.method == "GET" && types.any(|one| one.eq_ignore_ascii_case("text/event-stream"))
}

/// Hear what happens without being seen, by server-sent events.
async fn listen(call: &Call<'_>) -> Outcome<Answer> {
    // Only rooms read it: no other request carries it over the boundary.
    let last_event = call.request.raw.headers().get("last-event-id").ok().flatten();
    // Whoever only hears takes no client's place.
    let identity = Identity { client_id: minted()?, ..identity(call)? };
    let hint = call.grant().map(|grant| grant.region);
    let stream = room(call).listen(&identity, hint, last_event, places(call)?).await.map_err(problem)?;
    Ok(Answer::stream("text/event-stream", stream).with("cache-control", "no-store"))
}

/// The upgrade is passed to the room after admission: the room believes the identity because only the Worker can
/// reach it. A ticket was admitted when it was made; the room knows for whom.
async fn join(call: &Call<'_>) -> Outcome<Answer> {
    origin(call)?;
    let protocol = tickets::offered(call.request).contains(&tickets::PROTOCOL.to_owned()).then_some(tickets::PROTOCOL);
    let response = if let Some(ticket) = tickets::brought(call.request) {
        let workspace = call.request.parameter("ws", WorkspaceId::parse)?;
        let digest = tickets::digest(&ticket);
        let joined = room(call).connect(&Join { workspace, hint: None, by: By::Ticket(&digest), protocol }).await;
        if matches!(&joined, Err(PresenceError::Refused(refusal)) if refusal.code == Code::InvalidToken) {
            call.request.app.refused_tickets.refuse(digest);
            charge_stranger(call.request).await?;
        }
        joined
    } else {
        let identity = identity(call)?;
        let hint = call.grant().map(|grant| grant.region);
        let join = Join { workspace: identity.workspace, hint, by: By::Identity(&identity), protocol };
        room(call).connect(&join).await
    };
    Ok(Answer::raw(response.map_err(problem)?))
}

/// Show a state without a socket, for as long as heartbeats come.
pub(super) async fn beat(call: &Call<'_>) -> Outcome<Answer> {
    let Beat { clock, state, at } = json::parse_borrowed(&call.body)?;
    let state = state_of(state).map_err(|_| Problem::field("/state", STATE))?;
    let places = format!("It is at most {MOST_SHOWN} places such as `request/r1`.");
    let shown = Shown::parse(state, at).map_err(|_| Problem::field("/at", places))?;
    let identity = identity(call)?;
    let expires_in_ms = room(call).beat(&identity, clock, shown).await.map_err(problem)?;
    Answer::json(200, &Beaten { client_id: identity.client_id.as_str(), expires_in_ms })
}

/// Who the caller is to the room, as he was admitted.
pub(super) fn identity(call: &Call<'_>) -> Outcome<Identity> {
    let access = call.workspace()?;
    let principal = call.principal()?;
    Ok(Identity {
        workspace: access.workspace,
        client_id: client_id(call)?,
        user_id: principal.user,
        name: principal.name.clone(),
        role: access.role,
        expires_at_ms: principal.expires_ms,
        authz_epoch: call.grant().map_or(0, |grant| grant.authz_epoch),
        api_key: principal.key.as_ref().map(|key| key.id),
    })
}

/// A page of who is there: people, or with `view=clients` their clients.
async fn snapshot(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let limit = call.request.query.number("limit", 1..=100)?.unwrap_or(50);
    let asked = Asked { cursor: call.request.query.get("cursor"), at: places(call)?, limit };
    match call.request.query.get("view").unwrap_or("people") {
        "people" => tagged(room(call).people(workspace, asked).await.map_err(problem)?),
        "clients" => tagged(room(call).snapshot(workspace, asked).await.map_err(problem)?),
        _ => Err(Problem::parameter("view", "It is `people` or `clients`.")),
    }
}

/// With a weak tag: signs of life alone make no new version. States are passed on as their clients wrote them: what a client
/// may write is not always what this program could hold as a value.
fn tagged<View: Shows>(page: Page<View>) -> Outcome<Answer> {
    let answer = Answer::json(200, &page)?;
    let data = page.data.iter().map(View::timeless).collect();
    let timeless = Answer::json(200, &Page { data, ..page })?;
    let tag = etag::body_tag(&timeless.body);
    let vary = CacheProfile::Tenant.vary().unwrap_or_default();
    Ok(answer.with("etag", format!("W/{tag}")).with("cache-control", cache::PRIVATE).with("vary", vary))
}

/// `at`: the places asked about, separated by commas.
fn places(call: &Call<'_>) -> Outcome<Option<Places>> {
    let Some(at) = call.request.query.get("at") else { return Ok(None) };
    let wanted = || format!("It is at most {MOST_HEARD} places such as `request/r1`, separated by commas.");
    Places::parse(at.split(','), MOST_HEARD).map(Some).map_err(|_| Problem::parameter("at", wanted()))
}

pub(super) fn room<'a>(call: &Call<'a>) -> PresenceClient<'a> {
    PresenceClient { env: call.request.env, timeout_ms: call.request.remaining_ms() }
}

pub(super) fn problem(error: PresenceError) -> Problem {
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
    let Some(text) = call.request.query.get("client_id") else { return minted() };
    ClientId::parse(text).map_err(|error| Problem::parameter("client_id", format!("It {error}.")))
}

fn minted() -> Outcome<ClientId> {
    let text = format!("{:032x}", u128::from_be_bytes(random::bytes()));
    ClientId::parse(&text).map_err(|error| Problem::internal(error.to_string()))
}
