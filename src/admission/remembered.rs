//! Tenants that do not exist for a caller, remembered for a moment, so that probing costs the prober's isolate one
//! look-up and the gates nothing.

use std::cell::RefCell;
use std::num::NonZeroUsize;

use drey_core::id::UserId;
use lru::LruCache;
use uuid::Uuid;

/// Five seconds (design §2): how late a new member may be let in by an isolate that has just refused him.
const FOR_MS: u64 = 5_000;
/// 4,096 pairs of ids are about 200 KB.
const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// (caller, tenant) pairs that were answered 404.
#[derive(Debug)]
pub struct Remembered {
    until: RefCell<LruCache<(UserId, Uuid), u64>>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { until: RefCell::new(LruCache::new(MOST)) }
    }
}

impl Remembered {
    /// Whether the pair was refused lately.
    pub fn absent(&self, user: UserId, tenant: Uuid, now_ms: u64) -> bool {
        self.until.borrow_mut().get(&(user, tenant)).is_some_and(|until| *until > now_ms)
    }

    /// Remembers a refusal.
    pub fn refuse(&self, user: UserId, tenant: Uuid, now_ms: u64) {
        self.until.borrow_mut().put((user, tenant), now_ms + FOR_MS);
    }

    /// Forgets a refusal: this isolate has just let the caller in by creating or accepting.
    pub fn forget(&self, user: UserId, tenant: Uuid) {
        self.until.borrow_mut().pop(&(user, tenant));
    }
}
