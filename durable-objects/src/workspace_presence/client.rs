//! The Worker's side of a room.
//!
//! In scope: typed calls, and the one internal header of an upgrade. Out of scope: admission, and what a refusal looks
//! like to the caller.

use drey_core::cursor::{Cursor, CursorError};
use drey_core::id::{UserId, WorkspaceId};
use drey_core::presence::{Identity, IdentityError, PeerView, PersonView, Places, ScopeNews, Sent, Shown};
use drey_core::refusal::{Code, Refusal};
use drey_core::role::Region;
use drey_core::sync::ClientId;
use drey_promises::settled;
use js_sys::Promise;
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use worker::{Env, Response, web_sys};

use super::command::{Command, Turned};
use super::room::Present;
use super::{BINDING, TICKET_HEADER};
use crate::presence_shard;
use crate::rpc::{self, RpcError, Target};
use crate::scope_feed::client::open;

#[wasm_bindgen(module = "/src/workspace_presence/upgrade.js")]
extern "C" {
    fn upgrade(
        namespace: &JsValue,
        name: &str,
        hint: Option<&str>,
        header: &str,
        value: &str,
        protocol: Option<&str>,
        timeout: u32,
    ) -> Promise;
}

/// How a socket was admitted.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// By the Worker: so he is called.
    Identity(&'a Identity),
    /// By a ticket with this digest, which only the room can vouch for.
    Ticket(&'a str),
}

/// An upgrade.
#[derive(Clone, Copy, Debug)]
pub struct Join<'a> {
    /// The room.
    pub workspace: WorkspaceId,
    /// Where the object is created if this is its first call.
    pub hint: Option<Region>,
    /// The admission.
    pub by: By<'a>,
    /// The subprotocol to choose of those the client offers.
    pub protocol: Option<&'a str>,
}

/// Calls rooms.
#[derive(Clone, Copy, Debug)]
pub struct PresenceClient<'a> {
    /// The bindings.
    pub env: &'a Env,
    /// The longest wait in milliseconds.
    pub timeout_ms: u32,
}

/// A call that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// The caller's fault: `client-mismatch`, `token-expired`, `overloaded`, `invalid-cursor`.
    #[error(transparent)]
    Refused(Refusal),
    /// The object did not reply.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The upgrade did not reach the object.
    #[error("the room could not be reached: {0}")]
    Upgrade(#[from] worker::Error),
    /// The identity does not fit a header.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Which page of those who are present.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// Where it begins.
    pub cursor: Option<&'a str>,
    /// Who looks at one of these places; none for everybody.
    pub at: Option<Places>,
    /// At most so many, at most 100.
    pub limit: u32,
}

/// A page of who is present, as the API answers it.
#[derive(Debug, Serialize)]
pub struct Page<View> {
    /// By id.
    pub data: Vec<View>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

impl PresenceClient<'_> {
    /// Forwards an admitted upgrade; the answer carries the client's end of the socket. Nothing of the caller's request
    /// goes along: no credential reaches the object.
    pub async fn connect(&self, join: &Join<'_>) -> Result<web_sys::Response, PresenceError> {
        let (header, value) = match join.by {
            By::Identity(identity) => (Identity::HEADER, identity.to_header()?),
            By::Ticket(digest) => (TICKET_HEADER, digest.to_owned()),
        };
        let response = self.upgrade(BINDING, &join.workspace.to_string(), join, (header, &value)).await?;
        if response.status() == 101 {
            return Ok(response);
        }
        let answer = Response::from(response).text().await?;
        match Sent::from_header(&answer) {
            Ok(sent) => self.connect_to(&sent, join).await,
            Err(_) => Err(PresenceError::Refused(
                serde_json::from_str::<Turned>(&answer).map_err(IdentityError::from)?.into(),
            )),
        }
    }

    /// The room has no place left and has sent the socket to a shard. If that fails, the room sends the next one elsewhere.
    async fn connect_to(&self, sent: &Sent, join: &Join<'_>) -> Result<web_sys::Response, PresenceError> {
        let (name, value) = (presence_shard::client::name(join.workspace, sent.shard), sent.to_header()?);
        let response = self.upgrade(presence_shard::BINDING, &name, join, (Sent::HEADER, &value)).await?;
        if response.status() == 101 {
            return Ok(response);
        }
        let refusal = Refusal::new(Code::Overloaded, "A part of the room takes no more sockets. Try again.");
        Err(PresenceError::Refused(refusal.with_retry_after(1)))
    }

    async fn upgrade(
        &self,
        binding: &str,
        name: &str,
        join: &Join<'_>,
        (header, value): (&str, &str),
    ) -> Result<web_sys::Response, PresenceError> {
        let namespace = self.env.durable_object(binding)?;
        let hint = join.hint.map(Region::as_str);
        let asked = upgrade(namespace.as_ref(), name, hint, header, value, join.protocol, self.timeout_ms);
        Ok(settled(&asked).await.map_err(worker::Error::from)?.dyn_into().map_err(worker::Error::from)?)
    }

    /// A shard's report; when the shard woke that was heard last.
    pub(crate) async fn report(&self, workspace: WorkspaceId, report: String) -> Result<u64, RpcError> {
        self.call(workspace, &Command::Report { workspace, report }).await
    }

    /// Opens a stream of events for an admitted reader, after the last event he has.
    pub async fn listen(
        &self,
        identity: &Identity,
        hint: Option<Region>,
        last_event: Option<String>,
        at: Option<Places>,
    ) -> Result<web_sys::Response, PresenceError> {
        let command = Command::Listen { identity: identity.to_header()?, last_event, at };
        let command = serde_json::to_string(&command).map_err(IdentityError::from)?;
        let (name, hint) = (identity.workspace.to_string(), hint.map(Region::as_str));
        let namespace = self.env.durable_object(BINDING)?;
        let asked = open(namespace.as_ref(), &name, hint, &command, self.timeout_ms);
        let response: web_sys::Response =
            asked.await.map_err(worker::Error::from)?.dyn_into().map_err(worker::Error::from)?;
        let media_type = response.headers().get("content-type").ok().flatten();
        let is_stream = media_type.is_some_and(|media_type| media_type == "text/event-stream");
        if is_stream { Ok(response) } else { Err(refused(response.into()).await?) }
    }

    /// Leaves a ticket with the room, by its digest; for how many milliseconds it is good.
    pub async fn leave_ticket(&self, digest: &str, identity: &Identity) -> Result<u64, PresenceError> {
        let command = Command::Ticket { digest: digest.to_owned(), identity: identity.to_header()? };
        let reply: Result<u64, Turned> = self.call(identity.workspace, &command).await?;
        reply.map_err(|turned| PresenceError::Refused(turned.into()))
    }

    /// A sign of life of a client without a socket; for how many milliseconds it is good.
    pub async fn beat(&self, identity: &Identity, clock: u64, shown: Shown) -> Result<u64, PresenceError> {
        let Shown { state, at } = shown;
        let command = Command::Beat { identity: identity.to_header()?, clock, state, at };
        let reply: Result<u64, Turned> = self.call(identity.workspace, &command).await?;
        reply.map_err(|turned| PresenceError::Refused(turned.into()))
    }

    /// A page of the clients present.
    pub async fn snapshot(&self, workspace: WorkspaceId, asked: Asked<'_>) -> Result<Page<PeerView>, PresenceError> {
        let binding = format!("presence {workspace}");
        let Asked { cursor, at, limit } = asked;
        let after = position(cursor, &binding, ClientId::parse)?;
        let present: Present<PeerView, ClientId> =
            self.call(workspace, &Command::Snapshot { after, limit, at }).await?;
        let next_cursor = present.next.map(|client| Cursor::encode_key(client.as_str(), &binding));
        Ok(Page { data: present.data, next_cursor })
    }

    /// A page of the people present.
    pub async fn people(&self, workspace: WorkspaceId, asked: Asked<'_>) -> Result<Page<PersonView>, PresenceError> {
        let binding = format!("people {workspace}");
        let Asked { cursor, at, limit } = asked;
        let after = position(cursor, &binding, UserId::parse)?;
        let present: Present<PersonView, UserId> = self.call(workspace, &Command::People { after, limit, at }).await?;
        let next_cursor = present.next.map(|user| Cursor::encode_key(&user.to_string(), &binding));
        Ok(Page { data: present.data, next_cursor })
    }

    /// A user lost access, at this epoch (0: not known): his sockets close with 4403.
    pub async fn narrow(&self, workspace: WorkspaceId, user_id: UserId, authz_epoch: i64) -> Result<(), RpcError> {
        self.call(workspace, &Command::Narrow { user_id, authz_epoch }).await
    }

    /// The workspace is gone: all its sockets close with 4410.
    pub async fn close(&self, workspace: WorkspaceId) -> Result<(), RpcError> {
        self.call(workspace, &Command::Close).await
    }

    /// Scopes of sync have moved: whether anybody in the room was there to be told.
    pub async fn notify(&self, workspace: WorkspaceId, scopes: Vec<ScopeNews>) -> Result<bool, RpcError> {
        self.call(workspace, &Command::Notice { scopes }).await
    }

    /// Closes the room for a moment (1012): its clients come back, each at a time of its own, none before `after_ms`. How
    /// many sockets it had.
    pub async fn drain(&self, workspace: WorkspaceId, after_ms: u64) -> Result<usize, RpcError> {
        self.call(workspace, &Command::Drain { after_ms }).await
    }

    async fn call<R: serde::de::DeserializeOwned>(
        &self,
        workspace: WorkspaceId,
        command: &Command,
    ) -> Result<R, RpcError> {
        let name = workspace.to_string();
        let target = Target { binding: BINDING, name: &name, hint: None, timeout_ms: self.timeout_ms };
        rpc::call(self.env, target, command).await
    }
}

/// A cursor holds the last id of the page before.
fn position<Key, E>(
    cursor: Option<&str>,
    binding: &str,
    parse: impl FnOnce(&str) -> Result<Key, E>,
) -> Result<Option<Key>, PresenceError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let key = Cursor::decode_key(cursor, binding).and_then(|key| parse(&key).map_err(|_| CursorError));
    key.map(Some).map_err(|error| {
        let refusal = Refusal::new(Code::InvalidCursor, error.to_string());
        PresenceError::Refused(refusal.with_error("cursor", "is not one of this list"))
    })
}

async fn refused(mut response: Response) -> Result<PresenceError, PresenceError> {
    let turned: Turned = response.json().await?;
    Ok(PresenceError::Refused(turned.into()))
}
