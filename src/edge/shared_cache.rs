//! The platform's Cache API under one name, `drey`: local to a data centre, reached only after admission. What is
//! stored is not what the client gets: it carries its own max-age and no cookies or ids of a request.

use drey_promises::settled;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(module = "/src/edge/shared_cache.js")]
extern "C" {
    /// What [`find`] gives.
    type Found;

    #[wasm_bindgen(method, getter)]
    fn headers(this: &Found) -> String;

    #[wasm_bindgen(method, getter)]
    fn body(this: &Found) -> Uint8Array;

    fn find(name: &str, key: &str, patience_ms: u32) -> Promise;

    fn store(name: &str, key: &str, headers: &str, body: &[u8], seconds: u32) -> Promise;
}

/// Where drey's entries live; apart from the zone's own cache.
const NAME: &str = "drey";
/// Waiting longer than this costs more than asking Postgres.
const PATIENCE_MS: u32 = 100;

/// A stored answer.
#[derive(Debug)]
pub struct Stored {
    /// The headers the answer was stored with, as JSON.
    pub headers: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Looks an entry up. A cache that fails, or does not answer within a few milliseconds, is a miss.
pub async fn get(key: &str) -> Option<Stored> {
    let found = settled(&find(NAME, key, PATIENCE_MS)).await.ok().filter(|found| !found.is_undefined())?;
    let found: Found = found.unchecked_into();
    Some(Stored { headers: found.headers(), body: found.body().to_vec() })
}

/// Stores an entry for `seconds`, or says why it could not be stored.
pub async fn put(key: &str, headers: &str, body: &[u8], seconds: u32) -> Result<(), String> {
    let storing = store(NAME, key, headers, body, seconds);
    settled(&storing).await.map(|_| ()).map_err(|error| format!("{error:?}"))
}
