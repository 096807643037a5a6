//! How late a gate lets itself be told of revisions, and what its leases lose by it.
//!
//! A change is seen by others within one lease. Who writes often tells of a change late by a while; a lease that is granted
//! in such a time is shorter by that while, so that both together are no longer than the lease was.

use std::cell::Cell;

use drey_core::settings::Ttl;

/// Of a lease a quarter: four notices a second at the most, and a third more renewals while they come.
const SHARE: u64 = 4;
/// The next notice may take longer on its way than the last one did: for so many whiles after one leases are shorter.
const WHILES: u64 = 2;

/// What a gate has allowed.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    late_ms: Cell<u64>,
    until_ms: Cell<u64>,
}

impl Lateness {
    /// How late the next news may come, in milliseconds from when the last was sent.
    pub(super) fn allow(&self, ttl: Ttl, now_ms: u64) -> u64 {
        let late_ms = ttl.workspace_lease_ms / SHARE;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ttl(workspace_lease_ms: u64) -> Ttl {
        Ttl { workspace_lease_ms, ..Ttl::default() }
    }

    #[test]
    fn what_may_come_late_is_taken_off_the_lease() {
        let lateness = Lateness::default();
        assert_eq!(lateness.lease_ms(ttl(1_000), 5), 1_000);
        assert_eq!(lateness.allow(ttl(1_000), 10), 250);
        assert_eq!(lateness.lease_ms(ttl(1_000), 509), 750);
        assert_eq!(lateness.lease_ms(ttl(1_000), 510), 1_000);
    }

    /// An organisation may have made its leases shorter meanwhile.
    #[test]
    fn who_was_allowed_more_is_waited_for() {
        let lateness = Lateness::default();
        lateness.allow(ttl(1_000), 0);
        assert_eq!(lateness.allow(ttl(100), 100), 25);
        assert_eq!(lateness.lease_ms(ttl(100), 499), 0, "every call asks until then");
        assert_eq!(lateness.lease_ms(ttl(100), 500), 100);
    }
}
