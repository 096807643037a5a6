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

    #[wasm_bindgen(method, getter)]
    fn stream(this: &Found) -> Option<web_sys::Response>;

    fn find(name: &str, key: &str, most_bytes: u32, patience_ms: u32) -> Promise;

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
    pub body: Body,
}

/// Where the body of an entry is.
#[derive(Debug)]
pub enum Body {
    /// Here.
    Whole(Vec<u8>),
    /// Still in the cache: to be passed on, or cancelled.
    Unread(web_sys::Response),
}

/// Looks an entry up, and reads its body unless that is longer than `most_bytes`: it would cross to WebAssembly and back, and
/// nothing here looks into it. A cache that fails, or does not answer within a few milliseconds, is a miss.
pub async fn get(key: &str, most_bytes: u32) -> Option<Stored> {
    let finding = find(NAME, key, most_bytes, PATIENCE_MS);
    let found = settled(&finding).await.ok().filter(|found| !found.is_undefined())?;
    let found: Found = found.unchecked_into();
    let body = found.stream().map_or_else(|| Body::Whole(found.body().to_vec()), Body::Unread);
    Some(Stored { headers: found.headers(), body })
}

/// Stores an entry for `seconds`, or says why it could not be stored.
pub async fn put(key: &str, headers: &str, body: &[u8], seconds: u32) -> Result<(), String> {
    let storing = store(NAME, key, headers, body, seconds);
    settled(&storing).await.map(|_| ()).map_err(|error| format!("{error:?}"))
}
