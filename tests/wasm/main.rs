//! What only exists in WebAssembly: crossing the request boundary, time, randomness, waits, a Neon answer over real
//! HTTP, and the log. Run by wasm-bindgen's runner in Node; `npm test` does it.

#![cfg(target_arch = "wasm32")]
#![cfg_attr(
    target_arch = "wasm32",
    expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that panics has failed")
)]

mod boundary;
mod ground;
mod log;
mod neon;
mod waits;
