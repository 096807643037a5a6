//! The Worker's side of a feed.
//!
//! In scope: typed calls. Out of scope: admission, reading the log, the protocol's headers.

use drey_core::id::{ApiKeyId, UserId, WorkspaceId};
use drey_core::presence::ScopeNews;
use drey_core::role::Region;
use drey_core::sync::Offset;
use drey_promises::settled;
use js_sys::Promise;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use worker::{Env, Response, web_sys};

use super::{BINDING, Command};
use crate::rpc::{self, RpcError, Target};

#[wasm_bindgen(module = "/src/scope_feed/feed.js")]
extern "C" {
    #[wasm_bindgen(js_name = open)]
    fn opening(namespace: &JsValue, name: &str, hint: Option<&str>, command: &str, timeout: u32) -> Promise;
}

/// Calls an object for a stream of events.
pub(crate) async fn open(
    namespace: &JsValue,
    name: &str,
    hint: Option<&str>,
    command: &str,
    timeout: u32,
) -> Result<JsValue, JsValue> {
    settled(&opening(namespace, name, hint, command, timeout)).await
}

/// A request to wait, between Worker and object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ask {
    /// The tenant.
    pub workspace: WorkspaceId,
    /// `workspace`, `project` …
    pub scope_type: String,
    /// The id of the scope.
    pub scope_id: String,
    /// Who waits.
    pub user: UserId,
    /// The key that acts as him.
    #[serde(default)]
    pub api_key: Option<ApiKeyId>,
    /// What he has read.
    pub generation: i64,
    /// See `generation`.
    pub epoch: i64,
    /// Whether the Worker has just read that place as this reader.
    #[serde(default)]
    pub proved: bool,
    /// The protocol's cursor, as the client sent it.
    #[serde(default)]
    pub cursor: Option<u64>,
    /// The epoch of narrowed access that he was admitted at.
    #[serde(default)]
    pub authz_epoch: i64,
    /// For how many milliseconds the credential is good.
    pub expires_in_ms: u64,
}

/// What a feed answers that has no stream to give.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reply {
    /// The feed cannot vouch for reader or place.
    pub ask: bool,
    /// `full` or `reader`: too many wait, in all or of this reader.
    pub refused: Option<String>,
    /// Where the reader stands now.
    pub generation: i64,
    /// See `generation`.
    pub epoch: i64,
    /// A JSON array; none if nothing came.
    pub messages: Option<Box<RawValue>>,
}

/// What a feed answers to a notice. Earlier versions answered `null`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Heard {
    /// Whether somebody waits here, or did a moment ago.
    pub(super) waiting: bool,
}

/// What asking for a stream gave.
#[derive(Debug)]
pub enum Stream {
    /// The stream.
    Open(web_sys::Response),
    /// None.
    Not(Reply),
}

/// Calls feeds.
#[derive(Clone, Copy, Debug)]
pub struct FeedClient<'a> {
    /// The bindings.
    pub env: &'a Env,
    /// Where the object is created if this is its first call.
    pub hint: Option<Region>,
}

/// A call that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The object did not reply.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The object could not be reached, or broke off.
    #[error("the feed could not be reached: {0}")]
    Runtime(#[from] worker::Error),
    /// The command is no JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// The head of a stream comes at once; an object that starts cold takes a while.
const OPEN_MS: u32 = 5_000;
/// A notice that takes longer is lost: the check finds what it said.
const HEAR_MS: u32 = 2_000;

impl FeedClient<'_> {
    /// Waits for messages, at most as long as the feed's variable says and this allows.
    pub async fn poll(&self, ask: Ask, timeout_ms: u32) -> Result<Reply, FeedError> {
        let name = name(ask.workspace, &ask.scope_type, &ask.scope_id);
        Ok(rpc::call(self.env, self.target(&name, timeout_ms), &Command::Poll(ask)).await?)
    }

    /// Opens a stream that begins with these messages, if any.
    pub async fn stream(&self, ask: Ask, first: Option<String>) -> Result<Stream, FeedError> {
        let name = name(ask.workspace, &ask.scope_type, &ask.scope_id);
        let namespace = self.env.durable_object(BINDING)?;
        let command = serde_json::to_string(&Command::Stream { ask, first })?;
        let opened = open(namespace.as_ref(), &name, self.hint.map(Region::as_str), &command, OPEN_MS);
        let response: web_sys::Response =
            opened.await.map_err(worker::Error::from)?.dyn_into().map_err(worker::Error::from)?;
        let media_type = response.headers().get("content-type").ok().flatten();
        if response.status() == 200 && media_type.is_some_and(|media_type| media_type == "text/event-stream") {
            return Ok(Stream::Open(response));
        }
        let bytes = Response::from(response).bytes().await?;
        Ok(Stream::Not(serde_json::from_slice(&bytes)?))
    }

    /// A write has moved the scope; its messages, if they are told, are the last ones, without a gap. Whether somebody waits.
    pub async fn hear(
        &self,
        workspace: WorkspaceId,
        news: &ScopeNews,
        messages: Option<String>,
    ) -> Result<bool, RpcError> {
        let name = name(workspace, &news.scope_type, &news.id);
        let command = Command::Hear { generation: news.generation, epoch: news.epoch, messages };
        let heard: Option<Heard> = rpc::call(self.env, self.target(&name, HEAR_MS), &command).await?;
        Ok(heard.is_some_and(|heard| heard.waiting))
    }

    fn target<'b>(&self, name: &'b str, timeout_ms: u32) -> Target<'b> {
        Target { binding: BINDING, name, hint: self.hint.map(Region::as_str), timeout_ms }
    }
}

impl Ask {
    /// Where the reader stands; `None` for what no Worker sends.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        Offset::new(self.generation, self.epoch)
    }
}

/// Ids of scopes hold no slash.
fn name(workspace: WorkspaceId, scope_type: &str, scope_id: &str) -> String {
    format!("{workspace}/{scope_type}/{scope_id}")
}

#[cfg(test)]
mod tests {
    use super::{Command, Heard};

    /// Worker and objects are not replaced in the same moment: each understands what the other said before.
    #[test]
    fn a_notice_is_written_as_it_always_was() {
        let hear = Command::Hear { generation: 1, epoch: 7, messages: None };
        let text = serde_json::to_string(&hear).expect("it is JSON");
        assert_eq!(text, r#"{"command":"hear","generation":1,"epoch":7,"messages":null}"#);
        for (reply, waiting) in [("null", None), ("{}", Some(false)), (r#"{"waiting":true}"#, Some(true))] {
            let heard: Option<Heard> = serde_json::from_str(reply).expect("it is a reply");
            assert_eq!(heard.map(|heard| heard.waiting), waiting);
        }
    }
}
