//! What every write carries, and what it answers.
//!
//! In scope: idempotency, preconditions, and the head of every write function's row. Out of scope: the items.

use drey_core::retry::Effect;

use crate::Result;
use crate::neon::row::Row;
use crate::neon::{Answer, Consistency};
use crate::session::Session;
use crate::statement::{Call, Param, bytes, numbers, text};

/// An `Idempotency-Key` and what it stands for. The principal is the session's user.
#[derive(Clone, Copy, Debug)]
pub struct Idempotency<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The path of the request: one key may serve in two tenants.
    pub route: &'a str,
    /// The key, as the client chose it.
    pub key: &'a str,
    /// SHA-256 over what must be the same for a replay.
    pub fingerprint: [u8; 32],
}

/// What every write carries.
#[derive(Clone, Debug)]
pub struct Write<'a> {
    /// Set if the client sent a key. Only creates read it.
    pub idempotency: Option<Idempotency<'a>>,
    /// The request's id, for the audit.
    pub request: &'a str,
    /// The versions of which the item must have one; [`drey_core::etag::ANY_VERSION`] is any.
    pub if_match: Option<Vec<i64>>,
}

/// What a write answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// The item as it is now (of a replay: as it was answered the first time).
    pub item: T,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
    /// The revision this write made: the workspace's for routes under a workspace, else the organisation's.
    pub revision: i64,
    /// The epoch of access rights, as the gate of the same thing compares it.
    pub authz_epoch: i64,
}

impl<T> Written<T> {
    /// The same write of another item.
    pub fn map<U>(self, item: impl FnOnce(T) -> U) -> Written<U> {
        let Self { item: known, replayed, revision, authz_epoch } = self;
        Written { item: item(known), replayed, revision, authz_epoch }
    }
}

impl<'a> Write<'a> {
    /// The first five parameters of every create function.
    pub(crate) fn keyed(&self) -> [Param<'a>; 5] {
        let key = self.idempotency;
        [
            key.and_then(|key| text(key.method)),
            key.and_then(|key| text(key.route)),
            key.and_then(|key| text(key.key)),
            key.and_then(|key| bytes(&key.fingerprint)),
            text(self.request),
        ]
    }

    /// The first two parameters of every other write function.
    pub(crate) fn guarded(&self) -> [Param<'a>; 2] {
        [text(self.request), self.if_match.as_deref().map(numbers)]
    }

    /// A change to a stated version finds another version when it runs again after a lost answer.
    pub(crate) const fn change(&self) -> Effect {
        if self.if_match.is_some() { Effect::Once } else { Effect::Idempotent }
    }
}

/// Runs one write function and reads its row: replayed, revision, `authz_epoch`, then the item from column 3 on.
pub(crate) async fn run<T>(
    s: &Session<'_>,
    call: Call<'_>,
    effect: Effect,
    item: impl FnOnce(&Row<'_, '_>) -> Result<T>,
) -> Result<Written<T>> {
    s.neon.run(s, &[call], effect, Consistency::Primary, |answer| written(&answer, item)).await
}

/// The row of a write function, of a batch that begins with it.
pub(crate) fn written<T>(answer: &Answer<'_>, item: impl FnOnce(&Row<'_, '_>) -> Result<T>) -> Result<Written<T>> {
    let row = answer.first(0)?;
    Ok(Written { item: item(&row)?, replayed: row.bool(0)?, revision: row.i64(1)?, authz_epoch: row.i64(2)? })
}

/// The item of a write that leaves none.
#[expect(clippy::unnecessary_wraps, reason = "it stands where a decoder of rows stands")]
pub(crate) const fn nothing(_row: &Row<'_, '_>) -> Result<()> {
    Ok(())
}
