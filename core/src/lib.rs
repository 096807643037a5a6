//! The decisions of drey, as pure functions.
//!
//! # In scope
//! Ids, names, roles, refusals, limits, leases, cursors, cache policy, tokens before their signature, retries,
//! the rules of sync and of presence. Data and the time go in, data comes out.
//!
//! # Out of scope
//! Everything that waits, reads a clock, draws random bytes or talks to anybody: `now` and random bytes are arguments,
//! and no HTTP status stands here (`problem.rs` of the Worker has them).

#[macro_use]
mod text_enum;

mod encoding;

pub mod id;
pub mod role;
pub mod text;
pub mod time;

pub mod refusal;

pub mod lease;
pub mod limit;
pub mod quota;

pub mod api_key;
pub mod cache;
pub mod cursor;
pub mod etag;
pub mod idempotency;
pub mod jwt;
pub mod metrics;
pub mod object;
pub mod retry;
pub mod settings;
pub mod trace;

pub mod presence;
pub mod sync;
