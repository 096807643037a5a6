//! The codes clients branch on never change.

use drey_core::refusal::Code;

/// A code may be added at its place. One that is renamed or removed breaks clients that were never told.
#[test]
fn codes_are_stable() {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let expected = [
        "malformed-json",
        "invalid-body",
        "unknown-field",
        "invalid-parameter",
        "invalid-cursor",
        "invalid-offset",
        "tenant-mismatch",
        "invalid-idempotency-key",
        "unauthenticated",
        "invalid-token",
        "token-expired",
        "token-not-yet-valid",
        "forbidden",
        "insufficient-scope",
        "address-not-allowed",
        "client-mismatch",
        "not-found",
        "invitation-not-found",
        "method-not-allowed",
        "slug-taken",
        "last-owner",
        "not-an-org-member",
        "invitation-used",
        "idempotency-in-flight",
        "idempotency-keys-exhausted",
        "mutation-gap",
        "client-expired",
        "session-expired",
        "conflict",
        "offset-gone",
        "invitation-expired",
        "precondition-failed",
        "payload-too-large",
        "unsupported-media-type",
        "idempotency-mismatch",
        "rate-limited",
        "quota-exceeded",
        "upgrade-required",
        "origin-not-allowed",
        "revision-unknown",
        "internal",
        "upstream-unavailable",
        "gate-unavailable",
        "overloaded",
        "deadline-exceeded",
    ];
    assert_eq!(codes, expected);
}

#[test]
fn every_code_reads_back() {
    for code in Code::ALL {
        assert_eq!(Code::parse(code.as_str()), Some(*code));
    }
}
