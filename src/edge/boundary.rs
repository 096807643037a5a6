//! How a request enters WebAssembly and how an answer leaves it.
//!
//! In scope: reading method, URL and the headers drey uses in one crossing; a bounded body; one call per response.
//! Out of scope: what any of it means.

use std::cell::LazyCell;

use drey_promises::settled;
use js_sys::Promise;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use crate::answer::Headers;

#[wasm_bindgen(module = "/src/edge/boundary.js")]
extern "C" {
    fn read(request: &web_sys::Request) -> String;

    fn learn(names: &str);

    fn body(request: &web_sys::Request, limit: u32, timeout_ms: u32) -> Promise;

    #[wasm_bindgen(catch)]
    fn respond(status: u16, headers: &str, bytes: Option<&[u8]>) -> Result<web_sys::Response, JsValue>;

    #[wasm_bindgen(catch)]
    fn pass(headers: &str, from: &web_sys::Response) -> Result<web_sys::Response, JsValue>;

    /// Gives back a body that nobody is going to read.
    pub fn cancel(from: &web_sys::Response);
}

macro_rules! inbound_headers {
    ($($variant:ident => $name:literal),+ $(,)?) => {
        /// The request headers drey reads. Nothing else of a request's head crosses the boundary with it; what rooms alone
        /// read (`Last-Event-ID`, `Sec-WebSocket-Protocol`) they ask for, so that no other request pays for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Header {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
        }

        /// The names in the order of [`Header`], as the JavaScript side wants them.
        const NAMES: &str = inbound_headers!(@join $($name),+);
        const COUNT: usize = [$($name),+].len();
    };
    (@join $first:literal $(, $rest:literal)*) => { concat!($first $(, "\n", $rest)*) };
}

inbound_headers! {
    Accept => "accept",
    AccessControlRequestMethod => "access-control-request-method",
    ApiKey => "x-api-key",
    Authorization => "authorization",
    ConnectingIp => "cf-connecting-ip",
    ContentType => "content-type",
    CorrelationId => "x-correlation-id",
    IdempotencyKey => "idempotency-key",
    IfMatch => "if-match",
    IfNoneMatch => "if-none-match",
    OrgId => "x-org-id",
    Origin => "origin",
    Revision => "x-drey-revision",
    Traceparent => "traceparent",
    Upgrade => "upgrade",
    WorkspaceId => "x-workspace-id",
}

thread_local! {
    /// The names cross the boundary once per isolate.
    static LEARNT: LazyCell<()> = LazyCell::new(|| learn(NAMES));
}

/// A request's head, copied once.
#[derive(Debug)]
pub struct Head {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// The raw query without its question mark; empty if there is none.
    pub query: String,
    headers: [Option<String>; COUNT],
}

impl Head {
    /// Reads the head of a request in one crossing.
    #[must_use]
    pub fn read(request: &web_sys::Request) -> Self {
        LEARNT.with(|learnt| **learnt);
        Self::parse(&read(request))
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.split('\n');
        let method = lines.next().unwrap_or_default().to_owned();
        let (path, query) = path_and_query(lines.next().unwrap_or_default());
        let mut headers = [const { None }; COUNT];
        for (place, value) in lines.filter_map(place_and_value) {
            if let Some(header) = headers.get_mut(place) {
                *header = Some(value.to_owned());
            }
        }
        Self { method, path, query, headers }
    }

    /// A header's value, if it was sent.
    #[must_use]
    pub fn header(&self, header: Header) -> Option<&str> {
        self.headers.get(header as usize)?.as_deref()
    }
}

/// A line begins with the letter of its header: `A` is the first of [`NAMES`].
fn place_and_value(line: &str) -> Option<(usize, &str)> {
    let (letter, value) = line.split_at_checked(1)?;
    let place = letter.bytes().next()?.checked_sub(b'A')?;
    Some((place.into(), value))
}

/// Splits an absolute URL; the runtime has already normalised it, so `scheme://authority` ends at the third slash.
fn path_and_query(url: &str) -> (String, String) {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path_start = after_scheme.find('/').unwrap_or(after_scheme.len());
    let (_, target) = after_scheme.split_at(path_start);
    let target = target.split('#').next().unwrap_or_default();
    match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), query.to_owned()),
        None => (target.to_owned(), String::new()),
    }
}

/// Why a body could not be had.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than the limit; at most one chunk past the limit was read.
    TooLarge,
    /// The client went away or the stream broke.
    Broken,
    /// It did not come in time.
    Late,
}

/// Reads a body of at most `limit` bytes.
pub async fn read_body(request: &web_sys::Request, limit: u32, timeout_ms: u32) -> Result<Vec<u8>, BodyError> {
    let value = settled(&body(request, limit, timeout_ms)).await.map_err(|_| BodyError::Broken)?;
    if value.is_null() {
        return Err(BodyError::TooLarge);
    }
    if value.is_undefined() {
        return Err(BodyError::Late);
    }
    value.dyn_into::<js_sys::Uint8Array>().map(|bytes| bytes.to_vec()).map_err(|_| BodyError::Broken)
}

/// Builds the runtime's response. A header that the runtime refuses makes it an error, never a panic.
pub fn write(status: u16, headers: &Headers, body: Option<&[u8]>) -> Result<web_sys::Response, JsValue> {
    respond(status, &lines(headers), body)
}

/// The same with the body of another response, which is not read here.
pub fn pass_on(headers: &Headers, from: &web_sys::Response) -> Result<web_sys::Response, JsValue> {
    pass(&lines(headers), from)
}

fn lines(headers: &Headers) -> String {
    let mut text = String::with_capacity(64 * headers.len());
    for (name, value) in headers {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(name);
        text.push('\n');
        push_single_line(&mut text, value);
    }
    text
}

/// Header values are made by us, but some carry a caller's words: a line feed would start another header.
fn push_single_line(text: &mut String, value: &str) {
    for (at, part) in value.split(['\r', '\n']).enumerate() {
        if at > 0 {
            text.push(' ');
        }
        text.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, Header, NAMES, path_and_query};

    #[test]
    fn a_head_is_read_back_header_by_header() {
        let lines: Vec<String> = ('A'..).zip(NAMES.split('\n')).map(|(at, name)| format!("{at}<{name}>")).collect();
        let head = Head::parse(&format!("GET\nhttps://h/v1/me?a=b\n{}", lines.join("\n")));
        assert_eq!((head.method.as_str(), head.path.as_str(), head.query.as_str()), ("GET", "/v1/me", "a=b"));
        assert_eq!(head.header(Header::Accept), Some("<accept>"));
        assert_eq!(head.header(Header::WorkspaceId), Some("<x-workspace-id>"));
    }

    #[test]
    fn an_absent_header_is_none_and_an_empty_one_is_empty() {
        let head = Head::parse("GET\nhttps://h/\nB");
        assert_eq!(head.header(Header::Accept), None);
        assert_eq!(head.header(Header::AccessControlRequestMethod), Some(""));
        assert_eq!(head.header(Header::WorkspaceId), None);
    }

    #[test]
    fn a_url_without_path_has_an_empty_one() {
        assert_eq!(path_and_query("http://h"), (String::new(), String::new()));
        assert_eq!(path_and_query("http://h:1/a?b?c#d"), ("/a".to_owned(), "b?c".to_owned()));
    }
}
