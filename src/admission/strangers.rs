//! Callers who name tenants that are not theirs: no gate of a stranger keeps his account, so this isolate does.

use std::cell::RefCell;
use std::num::NonZeroUsize;

use drey_core::id::{ApiKeyId, UserId};
use drey_core::lease::Denial;
use drey_core::limit::{Account, BucketKind, BucketSpec, Limits, Strangers as Together, Tier};
use drey_core::role::Plan;
use lru::LruCache;

use super::{Principal, limited};
use crate::edge::clock;
use crate::problem::Outcome;

/// 4,096 accounts are under 1 MB; one more forgets the one unused for longest.
const MOST_ACCOUNTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// Whose account: a person's, or of a key that acts as one.
type Named = (UserId, Option<ApiKeyId>);

/// The accounts of an isolate, in a table of their own: no stranger pushes out what others are insured by.
#[derive(Debug)]
pub struct Strangers {
    accounts: RefCell<LruCache<Named, Account>>,
    together: RefCell<Together>,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { accounts: RefCell::new(LruCache::new(MOST_ACCOUNTS)), together: RefCell::default() }
    }
}

impl Strangers {
    /// Whether a tenant may be asked after a caller it has not met; else the refusal.
    pub(super) fn may_ask(&self, limits: &Limits, caller: Named) -> Outcome<()> {
        let account = self.accounts.borrow_mut().get(&caller).copied().unwrap_or_default();
        let refused = self.together.borrow().refusal(account, spec(limits), clock::now_ms());
        refused.and_then(Denial::by_buckets).map_or(Ok(()), |denial| Err(limited(&denial)))
    }

    /// Charges a caller for a name that was not his.
    pub(super) fn charge(&self, limits: &Limits, caller: Named) {
        let mut accounts = self.accounts.borrow_mut();
        let account = accounts.get_or_insert_mut(caller, Account::default);
        self.together.borrow_mut().charge(account, spec(limits), clock::now_ms());
    }
}

/// The same as of an address without a credential.
fn spec(limits: &Limits) -> BucketSpec {
    limits.bucket(Tier::Anonymous, BucketKind::Principal, Plan::Free)
}

impl Principal {
    /// Who answers for what is named: a key for itself, not its creator for it.
    pub(super) fn named(&self) -> Named {
        (self.user, self.key.as_ref().map(|key| key.id))
    }
}
