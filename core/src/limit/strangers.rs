//! What naming tenants that are not his costs a caller.
//!
//! In scope: one caller's account, and what the callers of an isolate have named together. Out of scope: the table of accounts.
//!
//! Only a tenant's gate knows whether it is the caller's: an object and a query for every name that he makes up. So a name is
//! charged when its answer is there, as a debt if need be, and who is in debt is refused before anything is asked for him.
//! A hundred made-up names at once pass, and then none until they are paid for.

use super::bucket::refusal;
use super::insurance::together;
use super::{Bucket, BucketSpec, Charge, Gcra, Mark, Stored};

/// The most that is owed. A client that has gone wrong is refused for a minute at a time.
const MOST_OWED_MS: u64 = 60_000;

/// One caller's account. The default is one that nothing was charged to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account(Gcra);

/// What all strangers of an isolate have named: as much as a hundred of them may.
#[derive(Debug, Default)]
pub struct Strangers {
    all: Gcra,
}

impl Strangers {
    /// What refuses a caller the question after a tenant in which he has not been met. To one whose account is as new
    /// nobody else's names matter: he has named nothing that was not his.
    #[must_use]
    pub fn refusal(&self, account: Account, spec: BucketSpec, now_ms: u64) -> Option<Charge> {
        let holds = |spec, gcra| Bucket::restart(spec, Stored { mark: Mark(gcra), block_until_ms: 0 });
        let Account(own) = account;
        if own.reset_ms(now_ms) == 0 {
            return None;
        }
        let all = holds(together(&spec), self.all.full_at_us);
        refusal(&[holds(spec, own.full_at_us)], now_ms, 1).or_else(|| refusal(&[all], now_ms, 1))
    }

    /// Charges a name that was not the caller's.
    pub fn charge(&mut self, account: &mut Account, spec: BucketSpec, now_ms: u64) {
        account.0.owe(&spec, now_ms, MOST_OWED_MS);
        self.all.owe(&together(&spec), now_ms, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{BucketKind, Limits, Tier};
    use crate::role::Plan;

    fn spec() -> BucketSpec {
        Limits::default().bucket(Tier::Anonymous, BucketKind::Principal, Plan::Free)
    }

    fn waits(strangers: &Strangers, account: Account, now_ms: u64) -> u64 {
        match strangers.refusal(account, spec(), now_ms) {
            Some(Charge::Denied { retry_after_ms, .. }) => retry_after_ms,
            Some(Charge::Allowed { .. }) | None => 0,
        }
    }

    #[test]
    fn what_was_named_at_once_is_owed_and_never_for_longer_than_a_minute() {
        let (mut strangers, mut account) = (Strangers::default(), Account::default());
        for _ in 0..19 {
            strangers.charge(&mut account, spec(), 5_000);
        }
        assert_eq!(waits(&strangers, account, 5_000), 0);
        for _ in 19..120 {
            strangers.charge(&mut account, spec(), 5_000);
        }
        // 20 at once and ten a second: a hundred too many are ten seconds, and a tenth of one until the next.
        assert_eq!(waits(&strangers, account, 5_000), 10_100);
        assert_eq!((waits(&strangers, account, 15_099), waits(&strangers, account, 15_100)), (1, 0));
        for _ in 0..10_000 {
            strangers.charge(&mut account, spec(), 20_000);
        }
        assert_eq!(waits(&strangers, account, 20_000), 60_100);
    }

    #[test]
    fn strangers_share_what_a_hundred_may_name_and_nobody_else_is_touched() {
        let mut strangers = Strangers::default();
        let mut accounts = [Account::default(); 201];
        for account in &mut accounts[..200] {
            for _ in 0..10 {
                strangers.charge(account, spec(), 5_000);
            }
        }
        assert_eq!(waits(&strangers, accounts[0], 5_000), 1, "2,000 are named, and a thousand a second more may be");
        assert_eq!(waits(&strangers, accounts[0], 5_001), 0);
        assert_eq!(waits(&strangers, accounts[200], 5_000), 0);
    }
}
