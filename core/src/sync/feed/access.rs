//! Who of those who wait may still read.
//!
//! Every waiter carries the epoch of narrowed access that he was admitted at. When it has moved, people are asked after and
//! keys begin again.

use std::collections::BTreeSet;

use super::{Feed, FeedEffect, Reader, Waiter, ends};
use crate::id::UserId;

impl Feed {
    /// One of those who wait.
    #[must_use]
    pub fn somebody(&self) -> Option<UserId> {
        self.waiters.values().next().map(|waiter| waiter.reader.user)
    }

    /// Everybody who waits and was admitted before this epoch, each once.
    #[must_use]
    pub fn admitted_before(&self, authz_epoch: i64) -> BTreeSet<UserId> {
        let earlier = self.waiters.values().filter(|waiter| waiter.admitted < authz_epoch);
        earlier.map(|waiter| waiter.reader.user).collect()
    }

    pub(super) fn prove(&mut self, reader: Reader, now_ms: u64) {
        if self.proofs.len() >= self.limits.waiters {
            self.proofs.retain(|_, until_ms| *until_ms > now_ms);
        }
        if self.proofs.len() < self.limits.waiters {
            self.proofs.insert(reader, now_ms.saturating_add(self.limits.proof_ms));
        }
    }

    /// Somebody may not read any more: his waiters end, and his proof with them.
    pub fn revoke(&mut self, user: UserId) -> Vec<FeedEffect> {
        self.proofs.retain(|reader, _| reader.user != user);
        let ids = self.waiters.iter().filter(|(_, waiter)| waiter.reader.user == user).map(|(id, _)| *id);
        let ids: Vec<_> = ids.collect();
        for id in &ids {
            self.waiters.remove(id);
        }
        ends(ids)
    }

    /// Somebody's access has been narrowed up to this epoch. Keys that were admitted before it end, because only their next
    /// admission tells which of them still hold.
    pub fn narrowed(&mut self, authz_epoch: i64) -> Vec<FeedEffect> {
        let is_over = |waiter: &Waiter| waiter.reader.api_key.is_some() && waiter.admitted < authz_epoch;
        let ids: Vec<_> = self.waiters.iter().filter(|(_, waiter)| is_over(waiter)).map(|(id, _)| *id).collect();
        for id in &ids {
            self.waiters.remove(id);
        }
        ends(ids)
    }

    /// Somebody still had access at this epoch.
    pub fn still(&mut self, user: UserId, authz_epoch: i64) {
        for waiter in self.waiters.values_mut().filter(|waiter| waiter.reader.user == user) {
            waiter.admitted = waiter.admitted.max(authz_epoch);
        }
    }
}
