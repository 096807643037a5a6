//! What we say when the fault is the caller's, or a neighbour's: one stable code each.
//!
//! In scope: the closed list of codes, their titles, and the value that carries one to the edge.
//! Out of scope: HTTP status codes and the body (`problem.rs` of the Worker).

use std::borrow::Cow;

text_enum! {
    /// The stable name of a refusal. Clients branch on it: a code is never renamed, and never means something else.
    pub enum Code {
        /// The body is not JSON.
        MalformedJson = "malformed-json",
        /// The body is JSON of another shape.
        InvalidBody = "invalid-body",
        /// The body has a field that no one reads.
        UnknownField = "unknown-field",
        /// A path segment, query parameter or header has an impossible value.
        InvalidParameter = "invalid-parameter",
        /// A cursor is not one of ours, or belongs to another query.
        InvalidCursor = "invalid-cursor",
        /// An offset is not one of ours.
        InvalidOffset = "invalid-offset",
        /// A tenant header contradicts the path.
        TenantMismatch = "tenant-mismatch",
        /// The idempotency key is not one.
        InvalidIdempotencyKey = "invalid-idempotency-key",
        /// No credential came.
        Unauthenticated = "unauthenticated",
        /// The credential is not valid here.
        InvalidToken = "invalid-token",
        /// The credential is over.
        TokenExpired = "token-expired",
        /// The credential has not begun.
        TokenNotYetValid = "token-not-yet-valid",
        /// The caller may see the thing, but not do this.
        Forbidden = "forbidden",
        /// The API key lacks a scope, or is restricted to a project.
        InsufficientScope = "insufficient-scope",
        /// The API key may not be used from this address.
        AddressNotAllowed = "address-not-allowed",
        /// The client id belongs to another user.
        ClientMismatch = "client-mismatch",
        /// There is no such thing for this caller.
        NotFound = "not-found",
        /// There is no such invitation.
        InvitationNotFound = "invitation-not-found",
        /// The path exists, but not with this method.
        MethodNotAllowed = "method-not-allowed",
        /// Another thing of the same parent has the slug.
        SlugTaken = "slug-taken",
        /// An organisation keeps at least one owner.
        LastOwner = "last-owner",
        /// The person is not in the organisation.
        NotAnOrgMember = "not-an-org-member",
        /// The invitation was accepted before.
        InvitationUsed = "invitation-used",
        /// A request with this idempotency key is under way.
        IdempotencyInFlight = "idempotency-in-flight",
        /// The caller holds too many live idempotency keys.
        IdempotencyKeysExhausted = "idempotency-keys-exhausted",
        /// Mutation ids are not consecutive.
        MutationGap = "mutation-gap",
        /// The client was away longer than its state is kept.
        ClientExpired = "client-expired",
        /// The session of a sync client is over, or another's.
        SessionExpired = "session-expired",
        /// The thing's state does not allow this.
        Conflict = "conflict",
        /// The offset lies in another generation or below the floor.
        OffsetGone = "offset-gone",
        /// The invitation is over.
        InvitationExpired = "invitation-expired",
        /// The thing has another version than the caller demands.
        PreconditionFailed = "precondition-failed",
        /// The body is larger than the route takes.
        PayloadTooLarge = "payload-too-large",
        /// The body is of another media type than the route takes.
        UnsupportedMediaType = "unsupported-media-type",
        /// The idempotency key was used with another request.
        IdempotencyMismatch = "idempotency-mismatch",
        /// A limit per time is used up.
        RateLimited = "rate-limited",
        /// A quota of the plan is used up.
        QuotaExceeded = "quota-exceeded",
        /// The route needs a WebSocket.
        UpgradeRequired = "upgrade-required",
        /// The origin of the page is not allowed.
        OriginNotAllowed = "origin-not-allowed",
        /// The revision demanded is not one of this workspace.
        RevisionUnknown = "revision-unknown",
        /// The fault is ours.
        Internal = "internal",
        /// The database did not answer.
        UpstreamUnavailable = "upstream-unavailable",
        /// The gate did not answer.
        GateUnavailable = "gate-unavailable",
        /// There is more work than we take.
        Overloaded = "overloaded",
        /// The request's time ran out.
        DeadlineExceeded = "deadline-exceeded",
    }
}

impl Code {
    /// One short sentence that is the same for every occurrence (RFC 9457 `title`).
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::MalformedJson => "The body is not valid JSON",
            Self::InvalidBody => "The body does not have the expected shape",
            Self::UnknownField => "The body has an unknown field",
            Self::InvalidParameter => "A parameter is not valid",
            Self::InvalidCursor => "The cursor is not valid",
            Self::InvalidOffset => "The offset is not valid",
            Self::TenantMismatch => "The tenant header contradicts the path",
            Self::InvalidIdempotencyKey => "The idempotency key is not valid",
            Self::Unauthenticated => "A credential is required",
            Self::InvalidToken => "The token is not valid",
            Self::TokenExpired => "The token has expired",
            Self::TokenNotYetValid => "The token is not valid yet",
            Self::Forbidden => "The role does not allow this",
            Self::InsufficientScope => "The API key does not reach this",
            Self::AddressNotAllowed => "The address is not allowed",
            Self::ClientMismatch => "The client belongs to another user",
            Self::NotFound => "Not found",
            Self::InvitationNotFound => "The invitation was not found",
            Self::MethodNotAllowed => "The method is not allowed",
            Self::SlugTaken => "The slug is taken",
            Self::LastOwner => "An organisation keeps at least one owner",
            Self::NotAnOrgMember => "The user is not a member of the organisation",
            Self::InvitationUsed => "The invitation was already used",
            Self::IdempotencyInFlight => "A request with this idempotency key is in flight",
            Self::IdempotencyKeysExhausted => "Too many live idempotency keys",
            Self::MutationGap => "The mutation ids have a gap",
            Self::ClientExpired => "The client has been away too long",
            Self::SessionExpired => "The session is over",
            Self::Conflict => "The request conflicts with the current state",
            Self::OffsetGone => "The offset is gone",
            Self::InvitationExpired => "The invitation has expired",
            Self::PreconditionFailed => "The precondition failed",
            Self::PayloadTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The media type is not supported",
            Self::IdempotencyMismatch => "The idempotency key was used with another request",
            Self::RateLimited => "Too many requests",
            Self::QuotaExceeded => "The quota is used up",
            Self::UpgradeRequired => "A WebSocket upgrade is required",
            Self::OriginNotAllowed => "The origin is not allowed",
            Self::RevisionUnknown => "The revision is not known",
            Self::Internal => "Something went wrong on our side",
            Self::UpstreamUnavailable => "The database is unavailable",
            Self::GateUnavailable => "Admission is unavailable",
            Self::Overloaded => "The service is overloaded",
            Self::DeadlineExceeded => "The deadline was exceeded",
        }
    }
}

/// What is wrong with one field of the request.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FieldError {
    /// JSON Pointer into the body (`/name`), or the name of the parameter or header.
    pub pointer: String,
    /// A clause that follows the field's name, such as `must not be empty`.
    pub detail: String,
}

/// A refusal on its way to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// Its stable name.
    pub code: Code,
    /// A sentence for this occurrence; never internals, never a secret.
    pub detail: Cow<'static, str>,
    /// The fields at fault, if any.
    pub errors: Vec<FieldError>,
    /// Seconds after which the same request may pass.
    pub retry_after: Option<u32>,
    /// Further members of the problem, such as `expected_id` of a mutation gap.
    pub extensions: Vec<(&'static str, i64)>,
}

impl Refusal {
    /// A refusal of this code with this sentence.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after: None, extensions: Vec::new() }
    }

    /// Adds a field at fault.
    #[must_use]
    pub fn with_error(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Says after how many seconds to come again.
    #[must_use]
    pub const fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds a further member of the problem.
    #[must_use]
    pub fn with_extension(mut self, name: &'static str, value: i64) -> Self {
        self.extensions.push((name, value));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_title_of_its_own() {
        let titles: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|code| code.title()).collect();
        assert_eq!(titles.len(), Code::ALL.len());
    }

    #[test]
    fn a_refusal_collects_what_is_wrong() {
        let refusal = Refusal::new(Code::InvalidBody, "Two fields are wrong.")
            .with_error("/name", "must not be empty")
            .with_retry_after(3)
            .with_extension("expected_id", 7);
        assert_eq!(refusal.to_string(), "invalid-body: Two fields are wrong.");
        assert_eq!(refusal.errors.first().map(|error| error.pointer.as_str()), Some("/name"));
        assert_eq!((refusal.retry_after, refusal.extensions), (Some(3), vec![("expected_id", 7)]));
    }
}
