//! What a handler answers, before the pipeline adds what every answer carries.

use std::borrow::Cow;

use serde::Serialize;

use crate::problem::{Outcome, Problem};

/// Whether and how an answer may be stored in the shared cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Not stored.
    Never,
    /// True until the workspace's revision passes this one, which was read before the rows.
    AtRevision(i64),
}

/// Names and values in the order they are sent. Most are known when drey is built, and cost no allocation.
pub type Headers = Vec<(Cow<'static, str>, Cow<'static, str>)>;

/// A status, headers and at most one body.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header names are lower-case; a name set twice keeps the last value.
    pub headers: Headers,
    /// The body, empty for 204 and 304.
    pub body: Vec<u8>,
    /// Whether the shared cache may hold it.
    pub keep: Keep,
    /// A response the runtime made: an upgrade, which goes on as it is, or the body of this answer, which nobody has read.
    pub raw: Option<web_sys::Response>,
}

impl Answer {
    /// Bytes of a media type.
    #[must_use]
    pub fn bytes(status: u16, media_type: &'static str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".into(), media_type.into())];
        Self { status, headers, body, keep: Keep::Never, raw: None }
    }

    /// A JSON document.
    pub fn json(status: u16, document: &impl Serialize) -> Outcome<Self> {
        let body = serde_json::to_vec(document).map_err(|error| Problem::internal(error.to_string()))?;
        Ok(Self::bytes(status, "application/json", body))
    }

    /// A response that the runtime or an object made; headers cannot be added to it.
    #[must_use]
    pub fn raw(response: web_sys::Response) -> Self {
        Self { status: response.status(), raw: Some(response), ..Self::no_content() }
    }

    /// A body that an object writes as it goes, passed on with our own headers.
    #[must_use]
    pub fn stream(media_type: &'static str, response: web_sys::Response) -> Self {
        Self { raw: Some(response), ..Self::bytes(200, media_type, Vec::new()) }
    }

    /// The same answer with a body that is elsewhere, to be passed on unread.
    #[must_use]
    pub fn passing_on(self, body: web_sys::Response) -> Self {
        Self { raw: Some(body), ..self }
    }

    /// The length of the body; 0 where nobody knows it before its end.
    #[must_use]
    pub fn size(&self) -> usize {
        let told = self.raw.as_ref().and_then(|raw| raw.headers().get("content-length").ok().flatten());
        told.and_then(|length| length.parse().ok()).unwrap_or(self.body.len())
    }

    /// 204.
    #[must_use]
    pub fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: Vec::new(), keep: Keep::Never, raw: None }
    }

    /// Sets a header, replacing an earlier value.
    pub fn set(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        match self.headers.iter_mut().find(|(known, _)| known == name) {
            Some((_, earlier)) => *earlier = value.into(),
            None => self.headers.push((name.into(), value.into())),
        }
    }

    /// Sets a header unless it is there.
    pub fn set_default(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        if self.header(name).is_none() {
            self.headers.push((name.into(), value.into()));
        }
    }

    /// The same answer with a header set.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.set(name, value);
        self
    }

    /// The same answer, storable until the workspace's revision moves.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }
}
