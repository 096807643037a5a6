//! Tickets to a room: how a browser joins one, which cannot send `Authorization` with a WebSocket.
//!
//! A ticket is 16 random bytes, its end, and a tag over both and their workspace, so that an isolate tells a forged one and
//! one whose time is over by itself: nobody without a credential reaches a room. Whether it is unused, only the room knows;
//! an isolate that was told that one is not remembers it until its end.

use std::cell::RefCell;
use std::num::NonZeroUsize;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drey_core::id::WorkspaceId;
use drey_core::refusal::Code;
use drey_store::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use lru::LruCache;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::answer::Answer;
use crate::call::Call;
use crate::edge::{clock, random};
use crate::problem::{Outcome, Problem};
use crate::request::Request;
use crate::routes::presence;

/// The subprotocol of version 1.
pub(super) const PROTOCOL: &str = "drey.v1";

/// What a ticket stands behind in the list of subprotocols.
const PREFIX: &str = "ticket.";

const HEADER: &str = "sec-websocket-protocol";

/// The random part of a ticket, and its tag, which nobody guesses within its 30 seconds.
const PART: usize = 16;
/// Milliseconds since 1970.
const END: usize = 8;

/// 4,096 tickets that rooms have refused are about 400 KB; each is forgotten after its end.
const MOST_REFUSED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// Tickets that a room has refused: until its end none costs a hop again.
#[derive(Debug)]
pub struct Refusals {
    digests: RefCell<LruCache<String, ()>>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { digests: RefCell::new(LruCache::new(MOST_REFUSED)) }
    }
}

impl Refusals {
    /// Remembers that this one is used up.
    pub(super) fn refuse(&self, digest: String) {
        self.digests.borrow_mut().put(digest, ());
    }

    fn has(&self, digest: &str) -> bool {
        self.digests.borrow().contains(digest)
    }
}

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
    let ends_ms = clock::now_ms().saturating_add(call.request.app.config.ticket_ms);
    let ticket = make(&call.request.app.config.invitation_secret, identity.workspace, random::bytes(), ends_ms)?;
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

/// Whether we made this ticket for the workspace of the path, its time is not over, and no room has refused it here.
pub fn may_be_good(request: &Request<'_>, ticket: &str) -> Outcome<bool> {
    let workspace = request.parameter("ws", WorkspaceId::parse)?;
    let bytes = URL_SAFE_NO_PAD.decode(ticket).unwrap_or_default();
    let Some((signed, tag)) = bytes.split_first_chunk::<{ PART + END }>() else { return Ok(false) };
    let Some((_, end)) = signed.split_last_chunk::<END>() else { return Ok(false) };
    let mac = mac(&request.app.config.invitation_secret, workspace, signed)?;
    let is_ours = tag.len() == PART && mac.verify_truncated_left(tag).is_ok();
    let is_over = u64::from_be_bytes(*end) <= clock::now_ms();
    Ok(is_ours && !is_over && !request.app.refused_tickets.has(&digest(ticket)))
}

/// What the room knows a ticket by.
pub(super) fn digest(ticket: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(ticket.as_bytes()))
}

fn make(secret: &Secret, workspace: WorkspaceId, random: [u8; PART], ends_ms: u64) -> Outcome<String> {
    let mut bytes: Vec<u8> = random.into_iter().chain(ends_ms.to_be_bytes()).collect();
    let tag = mac(secret, workspace, &bytes)?.finalize().into_bytes();
    bytes.extend(tag.iter().take(PART));
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn mac(secret: &Secret, workspace: WorkspaceId, signed: &[u8]) -> Outcome<Hmac<Sha256>> {
    let keyed = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
    let mut mac = keyed.map_err(|error| Problem::internal(error.to_string()))?;
    mac.update(b"drey presence ticket ");
    mac.update(workspace.uuid().as_bytes());
    mac.update(signed);
    Ok(mac)
}

/// The answer to a ticket that is none of ours.
#[must_use]
pub fn refused() -> Problem {
    Problem::new(Code::InvalidToken, "The ticket is used, expired or of another workspace. Ask for a new one.")
}
