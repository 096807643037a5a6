//! Every error leaves through here as `application/problem+json` (RFC 9457).
//!
//! In scope: the HTTP status of every code, the body, the headers an error needs. Out of scope: deciding that something
//! is an error. Internals are logged where the fault is noticed and never sent.

use std::borrow::Cow;

use drey_core::refusal::{Code, FieldError, Refusal};
use drey_store::StoreError;
use serde::Serialize;

use crate::answer::Answer;
use crate::edge::random;

/// The caller's fault as a [`Refusal`], or ours with a cause that only the log sees.
#[derive(Debug)]
pub struct Problem {
    /// What the caller is told.
    pub refusal: Refusal,
    /// What the log is told besides: the whole chain of causes.
    pub cause: Option<String>,
    /// A member of the problem beyond RFC 9457's that is not a number.
    pub extension: Option<(&'static str, serde_json::Value)>,
    /// Headers that belong to this answer: `Allow`, `WWW-Authenticate`.
    pub headers: Vec<(&'static str, String)>,
    /// The revision at which a thing was looked for and was not there, by a caller who may look.
    pub absent_at: Option<i64>,
    /// Whether this isolate repeats what it said a moment ago: who calls on regardless fills no log.
    pub repeated: bool,
}

/// What a handler gives.
pub type Outcome<T> = Result<T, Problem>;

impl Problem {
    /// A refusal in words that tell the caller what to do next.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(code, detail).into()
    }

    /// A thing that does not exist, or exists for another tenant: the answer is the same.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "There is no such resource, or it is not yours.")
    }

    /// A thing that is not there at this revision of a tenant that the caller may read.
    #[must_use]
    pub fn absent(revision: i64) -> Self {
        Self { absent_at: Some(revision), ..Self::new(Code::NotFound, "There is no such thing here.") }
    }

    /// A parameter of path or query that does not parse.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let refusal = Refusal::new(Code::InvalidParameter, format!("The parameter `{name}` is not valid."));
        refusal.with_error(name, detail).into()
    }

    /// A member of the body that does not parse; `pointer` is a JSON Pointer.
    pub fn field(pointer: &str, detail: impl Into<String>) -> Self {
        Refusal::new(Code::InvalidBody, "The body is not valid: see `errors`.").with_error(pointer, detail).into()
    }

    /// Our own fault. The caller gets an id to quote, the log gets the cause.
    pub fn internal(cause: impl Into<String>) -> Self {
        let detail = "Something went wrong on our side. Quote `request_id` when you report it.";
        Self { cause: Some(cause.into()), ..Self::new(Code::Internal, detail) }
    }

    /// A neighbour (Postgres, a key set, a gate) that does not answer; worth a retry.
    pub fn unavailable(code: Code, cause: impl Into<String>, retry_after: u32) -> Self {
        let detail = "A service drey depends on is not answering. Retry after the time given.";
        let refusal = Refusal::new(code, detail).with_retry_after(retry_after);
        Self { cause: Some(cause.into()), ..refusal.into() }
    }

    /// The same problem with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Whether a write that ended so may have happened all the same: the answer of its commit was lost.
    #[must_use]
    pub const fn leaves_doubt(&self) -> bool {
        matches!(self.refusal.code, Code::UpstreamUnavailable | Code::DeadlineExceeded)
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        status(self.refusal.code)
    }

    /// The answer; `request_id` is the one of this request, also when the answer is replayed.
    #[must_use]
    pub fn into_answer(self, request_id: &str) -> Answer {
        let body = self.body(request_id);
        let mut answer = Answer::bytes(self.status(), "application/problem+json", body);
        if let Some(seconds) = self.refusal.retry_after {
            answer.set("retry-after", seconds.to_string());
        }
        for (name, value) in self.headers {
            answer.set(name, value);
        }
        answer
    }

    fn extensions(&self) -> serde_json::Map<String, serde_json::Value> {
        let numbers = self.refusal.extensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
        let other = self.extension.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        numbers.chain(other).collect()
    }

    fn body(&self, request_id: &str) -> Vec<u8> {
        let status = self.status();
        let code = self.refusal.code;
        let document = Document {
            kind: kind(code),
            title: code.title(),
            status,
            detail: &self.refusal.detail,
            code: code.as_str(),
            request_id,
            errors: &self.refusal.errors,
            retry_after: self.refusal.retry_after,
            extensions: self.extensions(),
        };
        // Strings, numbers and a map with string keys always serialise.
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: Cow<'static, str>,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
    #[serde(flatten)]
    extensions: serde_json::Map<String, serde_json::Value>,
}

/// The problem type: the registered ones of draft-ietf-httpapi-ratelimit-headers where they fit, else drey's own.
fn kind(code: Code) -> Cow<'static, str> {
    match code {
        Code::RateLimited | Code::QuotaExceeded => {
            Cow::Borrowed("https://iana.org/assignments/http-problem-types#quota-exceeded")
        }
        Code::Overloaded => Cow::Borrowed("https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"),
        other => Cow::Owned(format!("urn:drey:problem:{}", other.as_str())),
    }
}

/// The one place where a code becomes a status.
#[must_use]
pub fn status(code: Code) -> u16 {
    match code {
        Code::MalformedJson
        | Code::InvalidBody
        | Code::UnknownField
        | Code::InvalidParameter
        | Code::InvalidCursor
        | Code::InvalidOffset
        | Code::TenantMismatch
        | Code::InvalidIdempotencyKey
        | Code::RevisionUnknown => 400,
        Code::Unauthenticated | Code::InvalidToken | Code::TokenExpired | Code::TokenNotYetValid => 401,
        Code::Forbidden
        | Code::InsufficientScope
        | Code::AddressNotAllowed
        | Code::ClientMismatch
        | Code::OriginNotAllowed => 403,
        Code::NotFound | Code::InvitationNotFound => 404,
        Code::MethodNotAllowed => 405,
        Code::SlugTaken
        | Code::LastOwner
        | Code::NotAnOrgMember
        | Code::InvitationUsed
        | Code::IdempotencyInFlight
        | Code::IdempotencyKeysExhausted
        | Code::MutationGap
        | Code::ClientExpired
        | Code::SessionExpired
        | Code::Conflict => 409,
        Code::OffsetGone | Code::InvitationExpired => 410,
        Code::PreconditionFailed => 412,
        Code::PayloadTooLarge => 413,
        Code::UnsupportedMediaType => 415,
        Code::IdempotencyMismatch => 422,
        Code::UpgradeRequired => 426,
        Code::RateLimited | Code::QuotaExceeded => 429,
        Code::Internal => 500,
        Code::UpstreamUnavailable | Code::GateUnavailable | Code::Overloaded | Code::DeadlineExceeded => 503,
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, cause: None, extension: None, headers: Vec::new(), absent_at: None, repeated: false }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) if refusal.code == Code::InvalidToken => {
                let challenge = "Bearer realm=\"drey\", error=\"invalid_token\"";
                Self::from(refusal).with_header("www-authenticate", challenge)
            }
            StoreError::Refused(refusal) => refusal.into(),
            StoreError::Absent { revision } => Self::absent(revision),
            StoreError::Unavailable { detail, retry_after } => {
                Self::unavailable(Code::UpstreamUnavailable, detail, retry_after)
            }
            StoreError::Timeout => {
                Self::unavailable(Code::DeadlineExceeded, "Postgres did not answer in time", random::soon_s())
            }
            StoreError::Schema { detail } | StoreError::Fault { detail } => Self::internal(detail),
        }
    }
}
