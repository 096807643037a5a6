//! drey: the tenant backend for collaborative API tools, served from the edge.
//!
//! In scope here: the events of the Worker. Everything else is behind [`routes`], the table of what the API can do, and
//! [`pipeline`], the way every request goes.

use worker::{Context, Env, event};

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
pub mod json;
pub mod notices;
pub mod pipeline;
pub mod problem;
pub mod query;
pub mod request;
pub mod respond;
pub mod router;
pub mod routes;

/// Every HTTP request. Each error has become an answer by the time it is here.
#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> worker::Result<web_sys::Response> {
    pipeline::answer(&request, &env, &context).await.map_err(worker::Error::from)
}
