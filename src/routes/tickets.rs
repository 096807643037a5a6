//! Tickets to a room: how a browser joins one, which cannot send `Authorization` with a WebSocket.
//!
//! A ticket is 16 random bytes and a tag over them and their workspace, so that an isolate tells a forged one by itself:
//! nobody without a credential reaches a room. Whether it is unused and in time, only the room knows.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drey_core::id::WorkspaceId;
use drey_core::refusal::Code;
use drey_store::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::answer::Answer;
use crate::call::Call;
use crate::edge::random;
use crate::problem::{Outcome, Problem};
use crate::request::Request;
use crate::routes::presence;

/// The subprotocol of version 1.
pub(super) const PROTOCOL: &str = "drey.v1";

/// What a ticket stands behind in the list of subprotocols.
const PREFIX: &str = "ticket.";

const HEADER: &str = "sec-websocket-protocol";

/// Half of a ticket: a random part, and a tag that nobody guesses within its 30 seconds.
const HALF: usize = 16;

#[derive(Serialize)]
struct Answered<'a> {
    ticket: &'a str,
    client_id: &'a str,
    protocols: [&'a str; 2],
    expires_in_ms: u64,
}

/// Get a ticket with which a browser joins the room, once.
pub(super) async fn create(call: &Call<'_>) -> Outcome<Answer> {
    let identity = presence::identity(call)?;
    let ticket = make(&call.request.app.config.invitation_secret, identity.workspace, random::bytes())?;
    let room = presence::room(call);
    let expires_in_ms = room.leave_ticket(&digest(&ticket), &identity).await.map_err(presence::problem)?;
    let offer = format!("{PREFIX}{ticket}");
    let (client_id, protocols) = (identity.client_id.as_str(), [PROTOCOL, offer.as_str()]);
    Answer::json(201, &Answered { ticket: &ticket, client_id, protocols, expires_in_ms })
}

/// The subprotocols that an upgrade offers.
pub(super) fn offered(request: &Request<'_>) -> Vec<String> {
    let header = request.raw.headers().get(HEADER).ok().flatten().unwrap_or_default();
    header.split(',').map(|protocol| protocol.trim().to_owned()).collect()
}

/// The ticket that an upgrade brings instead of a credential, on rows that take one.
pub fn brought(request: &Request<'_>) -> Option<String> {
    if !request.route.policy.ticket || !request.wants_websocket() {
        return None;
    }
    offered(request).iter().find_map(|protocol| protocol.strip_prefix(PREFIX)).map(str::to_owned)
}

/// Whether we made this ticket for the workspace of the path.
pub fn is_ours(request: &Request<'_>, ticket: &str) -> Outcome<bool> {
    let workspace = request.parameter("ws", WorkspaceId::parse)?;
    let bytes = URL_SAFE_NO_PAD.decode(ticket).unwrap_or_default();
    let Some((random, tag)) = bytes.split_first_chunk::<HALF>() else { return Ok(false) };
    let mac = mac(&request.app.config.invitation_secret, workspace, random)?;
    Ok(tag.len() == HALF && mac.verify_truncated_left(tag).is_ok())
}

/// What the room knows a ticket by.
pub(super) fn digest(ticket: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(ticket.as_bytes()))
}

fn make(secret: &Secret, workspace: WorkspaceId, random: [u8; HALF]) -> Outcome<String> {
    let tag = mac(secret, workspace, &random)?.finalize().into_bytes();
    let bytes: Vec<u8> = random.iter().chain(tag.iter().take(HALF)).copied().collect();
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn mac(secret: &Secret, workspace: WorkspaceId, random: &[u8; HALF]) -> Outcome<Hmac<Sha256>> {
    let keyed = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
    let mut mac = keyed.map_err(|error| Problem::internal(error.to_string()))?;
    mac.update(b"drey presence ticket ");
    mac.update(workspace.uuid().as_bytes());
    mac.update(random);
    Ok(mac)
}

/// The answer to a ticket that is none of ours.
#[must_use]
pub fn refused() -> Problem {
    Problem::new(Code::InvalidToken, "The ticket is used, expired or of another workspace. Ask for a new one.")
}
