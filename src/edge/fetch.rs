//! Outbound GETs of JSON documents (key sets), always with a time limit.

use worker::{AbortSignal, Fetch, Method, Request};

/// Fetches a document of at most `limit` bytes, or says why it could not be had.
pub async fn text(url: &str, timeout_ms: u32, limit: usize) -> Result<String, String> {
    let request = Request::new(url, Method::Get).map_err(|error| error.to_string())?;
    let signal = AbortSignal::from(web_sys::AbortSignal::timeout_with_u32(timeout_ms));
    let mut response = Fetch::Request(request).send_with_signal(&signal).await.map_err(|error| error.to_string())?;
    if response.status_code() != 200 {
        return Err(format!("{url} answered {}", response.status_code()));
    }
    let text = response.text().await.map_err(|error| error.to_string())?;
    if text.len() > limit {
        return Err(format!("{url} answered more than {limit} bytes"));
    }
    Ok(text)
}
