//! drey's Durable Objects: shells that load state, ask `drey-core`, store and reply.
//!
//! In scope: object classes, their commands, names and typed clients; object storage, alarms, sockets.
//! Out of scope: routes, HTTP statuses of the API, SQL text (that is `drey-store`'s).
//!
//! The Worker links this crate by name; without a use of it the linker would drop the classes silently
//! (wasm-bindgen #649).

pub mod environment;
pub mod metrics;
mod presence_shard;
pub mod rpc;
pub mod scope_feed;
mod timer;
pub mod workspace_gate;
pub mod workspace_presence;
