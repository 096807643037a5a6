//! How much a client asks, for the operator: calls since the start, and calls that are open now.

use std::cell::Cell;

/// Counts of one client.
#[derive(Debug, Default)]
pub struct Traffic {
    round_trips: Cell<u64>,
    retries: Cell<u64>,
    open: Cell<u64>,
    most: Cell<u64>,
}

/// A call under way. It is counted as open until this is dropped, also when nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct Open<'a>(&'a Traffic);

impl Traffic {
    pub(crate) const fn new() -> Self {
        Self { round_trips: Cell::new(0), retries: Cell::new(0), open: Cell::new(0), most: Cell::new(0) }
    }

    /// Counts a call, which is the `attempt`th of its batch.
    pub(crate) fn open(&self, attempt: u32) -> Open<'_> {
        self.round_trips.set(self.round_trips.get().saturating_add(1));
        self.retries.set(self.retries.get().saturating_add(u64::from(attempt > 1)));
        self.open.set(self.open.get().saturating_add(1));
        self.most.set(self.most.get().max(self.open.get()));
        Open(self)
    }

    /// Counts calls that an object made, which has nobody to report them to.
    pub fn add(&self, round_trips: u64) {
        self.round_trips.set(self.round_trips.get().saturating_add(round_trips));
    }

    /// HTTP calls since the start, repeated ones included.
    #[must_use]
    pub const fn round_trips(&self) -> u64 {
        self.round_trips.get()
    }

    /// Of those, the ones that repeated one that had failed.
    #[must_use]
    pub const fn retries(&self) -> u64 {
        self.retries.get()
    }

    /// The most calls open at once since this was asked last.
    pub fn take_most_open(&self) -> u64 {
        self.most.replace(self.open.get())
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::Traffic;

    #[test]
    fn what_is_open_is_counted_until_it_is_dropped() {
        let traffic = Traffic::new();
        let (first, second) = (traffic.open(1), traffic.open(2));
        drop(first);
        assert_eq!((traffic.round_trips(), traffic.retries()), (2, 1));
        assert_eq!((traffic.take_most_open(), traffic.take_most_open()), (2, 1));
        drop(second);
        traffic.take_most_open();
        assert_eq!(traffic.take_most_open(), 0);
    }
}
