//! Heads and bodies in, responses out.

use drey::edge::boundary::{BodyError, Head, Header, read_body, write};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen(inline_js = r#"
export function post(body, streamed) {
  const bytes = new TextEncoder().encode(body);
  const stream = new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += 3) controller.enqueue(bytes.slice(at, at + 3));
      controller.close();
    },
  });
  const headers = { "content-type": "application/json", authorization: "Bearer é" };
  return new Request("http://drey.test/v1/me?a=1&b=%20", { method: "POST", headers, body: streamed ? stream : bytes, duplex: "half" });
}
export function broken() {
  const body = new ReadableStream({ pull() { throw new Error("the client is gone"); } });
  return new Request("http://drey.test/", { method: "POST", body, duplex: "half" });
}
export function silent() {
  const body = new ReadableStream({ pull: () => new Promise(() => {}) });
  return new Request("http://drey.test/", { method: "POST", body, duplex: "half" });
}
export async function summary(response) {
  return JSON.stringify([response.status, response.headers.get("x-a"), response.headers.get("x-b"), await response.text()]);
}
"#)]
extern "C" {
    fn post(body: &str, streamed: bool) -> web_sys::Request;
    fn broken() -> web_sys::Request;
    fn silent() -> web_sys::Request;
    fn summary(response: &web_sys::Response) -> js_sys::Promise;
}

/// Longer than any body here takes.
const PATIENCE_MS: u32 = 60_000;

#[wasm_bindgen_test]
fn a_head_crosses_whole() {
    let head = Head::read(&post("{}", false));
    assert_eq!((head.method.as_str(), head.path.as_str(), head.query.as_str()), ("POST", "/v1/me", "a=1&b=%20"));
    assert_eq!(head.header(Header::ContentType), Some("application/json"));
    assert_eq!(head.header(Header::Authorization), Some("Bearer é"));
    assert_eq!(head.header(Header::IfMatch), None);
}

#[wasm_bindgen_test]
async fn a_body_crosses_byte_for_byte_whether_streamed_or_not() {
    for streamed in [false, true] {
        let body = read_body(&post("{\"name\":\"Zoë\"}", streamed), 64, PATIENCE_MS).await;
        assert_eq!(body.as_deref(), Ok("{\"name\":\"Zoë\"}".as_bytes()));
    }
}

#[wasm_bindgen_test]
async fn a_body_over_the_limit_is_refused_whether_its_length_is_declared_or_not() {
    assert_eq!(read_body(&post("0123456789", true), 10, PATIENCE_MS).await.as_deref(), Ok(&b"0123456789"[..]));
    for streamed in [false, true] {
        assert_eq!(read_body(&post("0123456789", streamed), 9, PATIENCE_MS).await, Err(BodyError::TooLarge));
    }
}

#[wasm_bindgen_test]
async fn a_client_that_goes_away_is_an_error_and_no_panic() {
    assert_eq!(read_body(&broken(), 9, PATIENCE_MS).await, Err(BodyError::Broken));
}

#[wasm_bindgen_test]
async fn a_body_that_does_not_come_is_waited_for_no_longer_than_told() {
    assert_eq!(read_body(&silent(), 9, 1).await, Err(BodyError::Late));
}

#[wasm_bindgen_test]
async fn a_response_carries_status_headers_and_body() {
    let headers = vec![("x-a".into(), "1".into()), ("x-b".into(), "two\nx-c: 3".into())];
    let response = write(201, &headers, Some("körper".as_bytes())).expect("a response");
    let seen = JsFuture::from(summary(&response)).await.expect("a summary");
    assert_eq!(seen.as_string().as_deref(), Some("[201,\"1\",\"two x-c: 3\",\"körper\"]"));
}

#[wasm_bindgen_test]
fn a_header_that_the_runtime_refuses_is_an_error_and_no_panic() {
    let refused: Result<web_sys::Response, JsValue> = write(200, &vec![("a name with spaces".into(), "".into())], None);
    assert!(refused.is_err());
}
