//! How Rust waits for JavaScript, and JavaScript for Rust, without the price of the general way.
//!
//! A request waits two or three times: for its body, for Postgres, for an object. Each wait by `wasm-bindgen-futures` is
//! two closures that the garbage collector watches, and a microtask to poll in. Here a wait is one call and an entry in a
//! table ([`settled`]), and who waited goes on in the very call that tells him ([`now_or_promise`]): a twentieth of what a
//! push costs (`docs/performance.md`).
//!
//! In scope: waiting. Out of scope: what is waited for.

mod awaited;
mod way;

pub use awaited::{Awaited, settled};
pub use way::now_or_promise;
