//! drey: the tenant backend for collaborative API tools, served from the edge.
//!
//! In scope here: the events of the Worker. Everything else is behind [`routes`], the table of what the API can do, and
//! [`pipeline`], the way every request goes.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{Context, Env};

// The linker drops a crate that nothing is used from, and the object classes with it (wasm-bindgen #649).
use drey_durable_objects as _;

pub mod admission;
pub mod answer;
pub mod app;
pub mod cache;
pub mod call;
pub mod config;
pub mod context;
pub mod edge;
pub mod feeds;
pub mod json;
pub mod load;
pub mod metrics;
pub mod notices;
pub mod pipeline;
pub mod problem;
pub mod query;
pub mod quiet;
pub mod request;
pub mod respond;
pub mod router;
pub mod routes;
mod settings;
pub mod wakes;

/// Every HTTP request. Each error has become an answer by the time it is here.
///
/// The exported `fetch` of `#[event(fetch)]` would be an `async fn`, with a promise for every request: see
/// [`drey_promises`].
///
/// # Errors
/// Only what the runtime throws while a response is built.
#[wasm_bindgen]
pub fn fetch(request: web_sys::Request, env: Env, context: worker::worker_sys::Context) -> Result<JsValue, JsValue> {
    let context = Context::new(context);
    drey_promises::now_or_promise(async move { pipeline::answer(&request, &env, &context).await.map(JsValue::from) })
}
