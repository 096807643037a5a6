//! How late a gate lets itself be told of writes, and what its leases lose by it.
//!
//! A change is seen by others within one lease. Who may tell of it late by a while does so where leases are shorter by that
//! while: both together are no longer than the lease was. That costs whoever asks a question more, so it is allowed where
//! far more is written than asked.

use std::cell::Cell;

use drey_core::settings::Ttl;

/// Of a lease a half: whoever writes and asks then asks so often that his questions tell of all his writes.
const SHARE: u64 = 2;
/// The next news may take longer on its way than the last did: for so many whiles after it leases are shorter.
const WHILES: u64 = 2;
/// Leases half as long are asked for twice as often: there are to be more writes than that for each question.
const WRITES_PER_QUESTION: u32 = 2;
/// Writes and questions are counted by the second.
const COUNTED_MS: u64 = 1_000;

/// What a gate has allowed, and why.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    late_ms: Cell<u64>,
    until_ms: Cell<u64>,
    /// Of the second under way, and of the one before it.
    counts: Cell<[Count; 2]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    second: u64,
    writes: u32,
    questions: u32,
}

impl Lateness {
    /// Somebody asks for a lease.
    pub(super) fn asked(&self, now_ms: u64) {
        self.count(now_ms, 0, 1);
    }

    /// So many writes were told of. How late the next may be told, in milliseconds from when these were sent, if at all.
    pub(super) fn allow(&self, writes: u32, ttl: Ttl, now_ms: u64) -> Option<u64> {
        let last = self.count(now_ms, writes, 0);
        let late_ms = ttl.workspace_lease_ms / SHARE;
        let often = last.writes > last.questions.saturating_mul(WRITES_PER_QUESTION);
        let allowed = often && last.writes > 1 && late_ms > 0;
        allowed.then(|| self.allowing(late_ms, now_ms))
    }

    fn allowing(&self, late_ms: u64, now_ms: u64) -> u64 {
        // Somebody else may have been allowed more.
        self.late_ms.set(late_ms.max(self.allowed_ms(now_ms)));
        self.until_ms.set(self.until_ms.get().max(now_ms + WHILES * late_ms));
        late_ms
    }

    /// For how long what a gate says of its tenant holds.
    pub(super) fn lease_ms(&self, ttl: Ttl, now_ms: u64) -> u64 {
        ttl.workspace_lease_ms.saturating_sub(self.allowed_ms(now_ms))
    }

    fn allowed_ms(&self, now_ms: u64) -> u64 {
        if now_ms < self.until_ms.get() { self.late_ms.get() } else { 0 }
    }

    /// Adds these, and gives the whole second that is over.
    fn count(&self, now_ms: u64, writes: u32, questions: u32) -> Count {
        let second = now_ms / COUNTED_MS;
        let [mut current, mut last] = self.counts.get();
        if current.second != second {
            last = if current.second + 1 == second { current } else { Count::default() };
            current = Count { second, ..Count::default() };
        }
        current.writes = current.writes.saturating_add(writes);
        current.questions = current.questions.saturating_add(questions);
        self.counts.set([current, last]);
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ttl(workspace_lease_ms: u64) -> Ttl {
        Ttl { workspace_lease_ms, ..Ttl::default() }
    }

    /// A gate that was written to ten times in the second before 1,000.
    fn busy() -> Lateness {
        let lateness = Lateness::default();
        assert_eq!(lateness.allow(10, ttl(1_000), 500), None, "nothing is known of a second before");
        lateness
    }

    #[test]
    fn what_may_come_late_is_taken_off_the_lease() {
        let lateness = busy();
        assert_eq!(lateness.lease_ms(ttl(1_000), 1_000), 1_000);
        assert_eq!(lateness.allow(1, ttl(1_000), 1_010), Some(500));
        assert_eq!(lateness.lease_ms(ttl(1_000), 2_009), 500);
        assert_eq!(lateness.lease_ms(ttl(1_000), 2_010), 1_000);
    }

    /// An organisation may have made its leases shorter meanwhile.
    #[test]
    fn who_was_allowed_more_is_waited_for() {
        let lateness = busy();
        lateness.allow(1, ttl(1_000), 1_000);
        assert_eq!(lateness.allow(1, ttl(100), 1_100), Some(50));
        assert_eq!(lateness.lease_ms(ttl(100), 1_999), 0, "every call asks until then");
        assert_eq!(lateness.lease_ms(ttl(100), 2_000), 100);
    }

    #[test]
    fn where_many_read_or_few_write_each_write_is_told() {
        let (read, rare, over) = (busy(), Lateness::default(), busy());
        for _ in 0..5 {
            read.asked(600);
        }
        assert_eq!(read.allow(1, ttl(1_000), 1_000), None);
        rare.allow(1, ttl(1_000), 500);
        assert_eq!(rare.allow(1, ttl(1_000), 1_000), None);
        assert_eq!(over.allow(1, ttl(1_000), 2_000), None, "a second without writes has passed");
    }
}
