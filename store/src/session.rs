//! Who calls, until when, and what it has cost.
//!
//! In scope: the values one request hands to every function of this crate. Out of scope: what a caller may do.

use std::cell::Cell;

use drey_core::id::{ApiKeyId, OrgId, ProjectId, UserId, WorkspaceId};

use crate::neon::{Consistency, Neon};

/// What the first statement of every batch sets. A row of another tenant is invisible to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The proven user.
    pub user: Option<UserId>,
    /// The organisation of the path, or of the path's workspace.
    pub org: Option<OrgId>,
    /// The workspace of the path.
    pub workspace: Option<WorkspaceId>,
    /// The API key that acts as the user; every write asks whether it still holds.
    pub api_key: Option<ApiKeyId>,
    /// The only project the key sees.
    pub project: Option<ProjectId>,
}

/// When the request's time is over. One for all its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(u64);

impl Deadline {
    /// At so many milliseconds since 1970.
    #[must_use]
    pub const fn at(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds left; 0 when it is over.
    #[must_use]
    pub fn remaining(self, now_ms: u64) -> u32 {
        u32::try_from(self.0.saturating_sub(now_ms)).unwrap_or(u32::MAX)
    }
}

/// What the request's batches have cost so far, for its log line and `Server-Timing`.
#[derive(Debug, Default)]
pub struct Timings {
    round_trips: Cell<u32>,
    retries: Cell<u32>,
    millis: Cell<u64>,
}

impl Timings {
    /// HTTP calls to Neon, repeated ones included.
    #[must_use]
    pub fn round_trips(&self) -> u32 {
        self.round_trips.get()
    }

    /// HTTP calls that repeated one that had failed.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries.get()
    }

    /// Milliseconds spent waiting for Neon.
    #[must_use]
    pub fn millis(&self) -> u64 {
        self.millis.get()
    }

    /// Counts one HTTP call.
    pub(crate) fn record(&self, attempt: u32, millis: u64) {
        self.round_trips.set(self.round_trips.get().saturating_add(1));
        self.retries.set(self.retries.get().saturating_add(u32::from(attempt > 1)));
        self.millis.set(self.millis.get().saturating_add(millis));
    }
}

/// One request's way to the database.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// The client.
    pub neon: &'a Neon,
    /// Whom row-level security sees.
    pub caller: Caller,
    /// When to give up.
    pub deadline: Deadline,
    /// The request's `traceparent`, or empty: it goes along as an SQL comment.
    pub trace: &'a str,
    /// Where the cost is counted.
    pub timings: &'a Timings,
    /// Which database lists and items are read from. Never [`Consistency::Replica`] for what fills a cache.
    pub reads: Consistency,
}

impl<'a> Session<'a> {
    /// A session that reads and writes the primary.
    #[must_use]
    pub const fn new(neon: &'a Neon, caller: Caller, deadline: Deadline, trace: &'a str, timings: &'a Timings) -> Self {
        Self { neon, caller, deadline, trace, timings, reads: Consistency::Primary }
    }

    /// The same for reads that may lag behind; without a replica nothing lags.
    #[must_use]
    pub const fn lagging(self) -> Self {
        Self { reads: if self.neon.has_replica() { Consistency::Replica } else { Consistency::Primary }, ..self }
    }

    /// Whether what this session reads may fill a cache.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        matches!(self.reads, Consistency::Primary)
    }

    /// The same for another caller.
    #[must_use]
    pub const fn with_caller(self, caller: Caller) -> Self {
        Self { caller, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::Deadline;

    #[test]
    fn a_deadline_counts_down_to_zero() {
        let deadline = Deadline::at(10_000);
        assert_eq!([9_000, 10_000, 11_000].map(|now| deadline.remaining(now)), [1_000, 0, 0]);
    }
}
