//! The platform's Cache API under one name, `drey`: local to a data centre, reached only after admission. What is
//! stored is not what the client gets: it carries its own max-age and no cookies or ids of a request.

use js_sys::Uint8Array;
use wasm_bindgen_futures::JsFuture;
use worker::{Cache, Response};

/// Where drey's entries live; apart from the zone's own cache.
const NAME: &str = "drey";
/// The header under which the stored copy keeps the answer's headers.
const HEADERS: &str = "x-drey-stored-headers";

/// A stored answer.
#[derive(Debug)]
pub struct Stored {
    /// The headers the answer was stored with, as JSON.
    pub headers: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Looks an entry up. A cache that fails is a miss.
pub async fn get(key: &str) -> Option<Stored> {
    let cache = Cache::open(NAME.to_owned()).await;
    let response = cache.get(key, false).await.ok().flatten()?;
    let headers = response.headers().get(HEADERS).ok().flatten()?;
    let body = whole(response).await?;
    Some(Stored { headers, body })
}

/// The body in one crossing. `Response::bytes` would cross for every 4 KiB of the stream: half the time of answering a chunk.
async fn whole(response: Response) -> Option<Vec<u8>> {
    let buffer = web_sys::Response::from(response).array_buffer().ok()?;
    Some(Uint8Array::new(&JsFuture::from(buffer).await.ok()?).to_vec())
}

/// Stores an entry for `seconds`.
pub async fn put(key: &str, stored: &Stored, seconds: u32) -> worker::Result<()> {
    let cache = Cache::open(NAME.to_owned()).await;
    let response = Response::from_bytes(stored.body.clone())?;
    response.headers().set("cache-control", &format!("max-age={seconds}"))?;
    response.headers().set(HEADERS, &stored.headers)?;
    cache.put(key, response).await
}
