//! What only exists in WebAssembly: crossing the request boundary, time, randomness, a Neon answer over real HTTP, and
//! the log. Run by wasm-bindgen's runner in Node; `npm test` does it.

#![cfg(target_arch = "wasm32")]

mod boundary;
mod ground;
mod log;
mod neon;
