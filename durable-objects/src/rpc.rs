//! The only file that knows a Durable Object is called by HTTP: a typed command goes in, a typed reply comes out.
//!
//! Objects cannot be called by the runtime's own RPC from this build: the classes are proxies that do not derive from
//! `DurableObject` (workers-rs #726).

use drey_promises::settled;
use js_sys::Promise;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{Env, Request, Response};

#[wasm_bindgen(module = "/src/hop.js")]
extern "C" {
    fn hop(namespace: &JsValue, name: &str, hint: Option<&str>, command: &str, timeout: u32) -> Promise;
}

/// Which object: its class by the binding, its name, where to create it, and how long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The binding of `wrangler.toml`.
    pub binding: &'a str,
    /// The object's name.
    pub name: &'a str,
    /// The location hint, which counts only when the object is first created.
    pub hint: Option<&'a str>,
    /// The longest wait in milliseconds.
    pub timeout_ms: u32,
}

/// A call that brought no reply. Whether the command took effect is unknown.
#[derive(Debug, thiserror::Error)]
#[error("the object {name} did not reply: {detail}")]
pub struct RpcError {
    name: String,
    detail: String,
}

/// Calls an object.
pub async fn call<R: DeserializeOwned>(env: &Env, target: Target<'_>, command: &impl Serialize) -> Result<R, RpcError> {
    let failed = |detail: String| RpcError { name: target.name.to_owned(), detail };
    let namespace = env.durable_object(target.binding).map_err(|error| failed(error.to_string()))?;
    let text = serde_json::to_string(command).map_err(|error| failed(error.to_string()))?;
    let asked = hop(namespace.as_ref(), target.name, target.hint, &text, target.timeout_ms);
    let reply = settled(&asked).await.map_err(|error| failed(format!("{error:?}")))?.as_string().unwrap_or_default();
    serde_json::from_str(&reply).map_err(|error| failed(error.to_string()))
}

/// Reads what a command carries as text: a large type in a tagged one would be compiled twice.
pub fn parse<T: DeserializeOwned>(text: &str) -> worker::Result<T> {
    serde_json::from_str(text).map_err(|error| worker::Error::RustError(error.to_string()))
}

/// Reads the command that an object was called with.
pub async fn command<C: DeserializeOwned>(request: &mut Request) -> worker::Result<C> {
    let bytes = request.bytes().await?;
    serde_json::from_slice(&bytes).map_err(|error| worker::Error::RustError(error.to_string()))
}

/// Writes an object's reply; `null` has no body.
pub fn reply(reply: &impl Serialize) -> worker::Result<Response> {
    let text = serde_json::to_vec(reply).map_err(|error| worker::Error::RustError(error.to_string()))?;
    if text == b"null" { Ok(Response::empty()?.with_status(204)) } else { Response::from_bytes(text) }
}
