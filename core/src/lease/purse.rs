//! What an isolate holds of one caller in one tenant: tokens already paid for, and refusals not yet over.
//!
//! In scope: spending, ending, and how much to ask for next. Out of scope: asking (the Worker), and what a gate gives
//! ([`crate::limit::charge_up_to`]).
//!
//! Tokens are debited from the buckets before they are granted and only ever spent or lost here, so whatever an isolate
//! does (dies, sleeps, steps its clock) the published bound holds: burst + rate·(t + 5 s).

use super::{Denial, Grant};
use crate::limit::{LimitView, Wish};

/// How much of the future a lease should cover. Longer would strand tokens in isolates that have gone quiet.
const AHEAD_MS: u64 = 1_000;
/// A pause after which an earlier rate says nothing any more.
const QUIET_MS: u64 = 5_000;
/// How long an answer that brings tokens may be on its way; a gate is given up after as long.
const AWAITED_MS: u64 = 2_000;
/// The most extra tokens that are asked for at once, whatever the rate.
const MOST_WANTED: u64 = 10_000;

/// Tokens of one grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Batch {
    tokens: u32,
    until_ms: u64,
}

impl Batch {
    const fn left(self, now_ms: u64) -> u32 {
        if now_ms < self.until_ms { self.tokens } else { 0 }
    }
}

/// A refusal that is believed for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Denied {
    denial: Denial,
    /// What was too dear. A cheaper call may still pass.
    cost: u32,
    /// Until when the caller is told to wait.
    until_ms: u64,
    /// Until when the gate is not asked again.
    believed_until_ms: u64,
}

/// The tokens of one caller, tenant and tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purse {
    // The older batch is spent first, so that asking before the end strands as little as possible.
    older: Batch,
    newer: Batch,
    view: Option<LimitView>,
    denied: Option<Denied>,
    arrivals: u64,
    since_ms: u64,
    latest_ms: u64,
    awaited_until_ms: u64,
}

/// What came of a request to a purse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spend {
    /// Paid; this is what headers show.
    Paid(LimitView),
    /// Refused by a denial that is not over.
    Denied(Denial),
    /// Nothing in hand: the gate has to be asked.
    Empty,
}

impl Purse {
    /// Notes a request, whatever becomes of it: the rate of these sizes the next lease.
    pub fn arrive(&mut self, now_ms: u64, cost: u32) {
        if now_ms.saturating_sub(self.latest_ms) > QUIET_MS {
            (self.arrivals, self.since_ms) = (0, now_ms);
        }
        self.arrivals = self.arrivals.saturating_add(u64::from(cost));
        self.latest_ms = self.latest_ms.max(now_ms);
    }

    /// Pays from what is in hand, whatever was refused meanwhile: it is paid for already.
    pub fn spend(&mut self, now_ms: u64, cost: u32) -> Spend {
        let there = self.tokens(now_ms) >= cost;
        let Some(view) = self.view.clone().filter(|_| there) else {
            return self.refusal(now_ms, cost).map_or(Spend::Empty, Spend::Denied);
        };
        let from_older = self.older.left(now_ms).min(cost);
        self.older.tokens -= from_older;
        self.newer.tokens -= cost - from_older;
        Spend::Paid(LimitView { remaining: view.remaining + u64::from(self.tokens(now_ms)), ..view })
    }

    /// The denial that is not over and holds for a call of this cost: what was too dear says nothing of a cheaper call.
    #[must_use]
    pub fn refusal(&self, now_ms: u64, cost: u32) -> Option<Denial> {
        let denied = self.denied.as_ref().filter(|denied| now_ms < denied.believed_until_ms && cost >= denied.cost)?;
        Some(remaining(&denied.denial, denied.until_ms.saturating_sub(now_ms)))
    }

    /// Whether what is in hand lasts for less than a quarter of a second at the observed rate: worth asking before it is
    /// gone, so that nobody waits.
    #[must_use]
    pub fn is_low(&self, now_ms: u64) -> bool {
        u64::from(self.tokens(now_ms)) * 4 < self.rate(now_ms)
    }

    /// What a request should ask for beyond its own cost: a second of the observed rate, less what is in hand. One request
    /// at a time: several on their way would each be given what one purse should hold. Whoever wished says so when his
    /// answer is there ([`Purse::answered`]).
    pub fn wish(&mut self, now_ms: u64) -> Wish {
        if now_ms < self.awaited_until_ms {
            return Wish::default();
        }
        let ahead = self.rate(now_ms).saturating_mul(AHEAD_MS) / 1000;
        let held = self.tokens(now_ms);
        let wanted = ahead.min(MOST_WANTED).saturating_sub(u64::from(held));
        if wanted > 0 {
            self.awaited_until_ms = now_ms.saturating_add(AWAITED_MS);
        }
        Wish { wanted: u32::try_from(wanted).unwrap_or(u32::MAX), held }
    }

    /// Notes that the answer to a wish has come, or never will.
    pub const fn answered(&mut self) {
        self.awaited_until_ms = 0;
    }

    /// Tokens a second, by the arrivals since the last quiet moment or the last grant. One arrival is no rate yet.
    fn rate(&self, now_ms: u64) -> u64 {
        let quiet = now_ms.saturating_sub(self.latest_ms) > QUIET_MS;
        let elapsed_ms = now_ms.saturating_sub(self.since_ms).max(1);
        if self.arrivals < 2 || quiet { 0 } else { self.arrivals.saturating_mul(1000) / elapsed_ms }
    }

    /// Takes a grant. What `cost` paid for is spent already; the rest holds from the moment the request was sent.
    pub fn granted(&mut self, grant: &Grant, cost: u32, sent_ms: u64, now_ms: u64) {
        let batch =
            Batch { tokens: grant.tokens.saturating_sub(cost), until_ms: sent_ms.saturating_add(grant.tokens_ms) };
        let newer = Batch { tokens: self.newer.left(now_ms), ..self.newer };
        if self.older.left(now_ms) == 0 {
            (self.older, self.newer) = (newer, batch);
        } else {
            // Two batches are enough to remember: the earlier end counts for both, which only loses some.
            let until_ms = if newer.tokens > 0 { newer.until_ms.min(batch.until_ms) } else { batch.until_ms };
            self.newer = Batch { tokens: newer.tokens.saturating_add(batch.tokens), until_ms };
        }
        if let Some(most) = grant.most {
            self.narrow(most, now_ms);
        }
        self.view = Some(grant.view.clone());
        self.denied = None;
        if now_ms.saturating_sub(self.since_ms) >= AHEAD_MS {
            (self.arrivals, self.since_ms) = (self.arrivals.div_ceil(2), now_ms.saturating_sub(AHEAD_MS / 2));
        }
    }

    /// Gives up what is in hand beyond this many.
    fn narrow(&mut self, most: u32, now_ms: u64) {
        self.newer.tokens = self.newer.left(now_ms).min(most);
        self.older.tokens = self.older.left(now_ms).min(most - self.newer.tokens);
    }

    /// Takes a denial of a call of this cost. It counts from the moment it was received, so that waiting it out is never too short.
    pub fn denied(&mut self, denial: &Denial, cost: u32, now_ms: u64) {
        let believe_ms = denial.believe_ms.unwrap_or(denial.retry_after_ms).min(denial.retry_after_ms);
        self.denied = Some(Denied {
            denial: denial.clone(),
            cost,
            until_ms: now_ms.saturating_add(denial.retry_after_ms),
            believed_until_ms: now_ms.saturating_add(believe_ms),
        });
    }

    /// What is in hand at this moment.
    #[must_use]
    pub fn tokens(&self, now_ms: u64) -> u32 {
        self.older.left(now_ms).saturating_add(self.newer.left(now_ms))
    }
}

fn remaining(denial: &Denial, left_ms: u64) -> Denial {
    let view = LimitView { reset_s: left_ms.div_ceil(1000), ..denial.view.clone() };
    Denial { retry_after_ms: left_ms, view, ..denial.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(tokens: u32) -> Grant {
        let view = LimitView { policy: "relaxed".into(), limit: 500, window_s: 60, remaining: 100, reset_s: 1 };
        Grant {
            role: "viewer".to_owned(),
            revision: 1,
            workspace_lease_ms: 1000,
            tokens,
            tokens_ms: 5000,
            ..Grant::bare(view)
        }
    }

    #[test]
    fn what_was_granted_is_spent_once_and_ends() {
        let mut purse = Purse::default();
        assert_eq!(purse.spend(0, 1), Spend::Empty);
        purse.granted(&grant(3), 1, 100, 120);
        assert!(matches!(purse.spend(121, 1), Spend::Paid(view) if view.remaining == 101));
        assert!(matches!(purse.spend(5099, 1), Spend::Paid(_)));
        assert_eq!(purse.spend(5099, 1), Spend::Empty);
        purse.granted(&grant(3), 1, 6000, 6010);
        assert_eq!(purse.spend(11_000, 1), Spend::Empty, "the lease counts from when it was asked for");
    }

    #[test]
    fn a_single_call_asks_for_nothing_more_and_a_stream_for_a_second_of_it() {
        const START: u64 = 1_795_000_000_000;
        let mut purse = Purse::default();
        purse.arrive(START, 1);
        assert_eq!(purse.wish(START).wanted, 0);
        for at in 1..100 {
            purse.arrive(START + at * 10, 1);
        }
        assert_eq!(purse.wish(START + 990).wanted, 101);
        assert_eq!(purse.wish(START + 991).wanted, 0, "one wish is on its way");
        purse.answered();
        assert!(purse.is_low(START + 990));
        purse.granted(&grant(101), 1, START + 990, START + 995);
        assert!(!purse.is_low(START + 996));
        assert_eq!(purse.wish(START + 8000).wanted, 0, "after a quiet moment there is no rate");
    }

    #[test]
    fn a_denial_is_kept_until_it_is_over() {
        let mut purse = Purse::default();
        let denial = Denial {
            retry_after_ms: 2000,
            policies: vec!["relaxed".to_owned()],
            view: grant(1).view,
            believe_ms: None,
            due: None,
        };
        purse.denied(&denial, 1, 1_000);
        assert!(
            matches!(purse.spend(1_500, 1), Spend::Denied(left) if left.retry_after_ms == 1500 && left.view.reset_s == 2)
        );
        assert_eq!(purse.spend(3_000, 1), Spend::Empty);
        // One that may end early tells its whole wait, and is asked about again before.
        purse.denied(&Denial { retry_after_ms: 60_000, believe_ms: Some(100), ..denial }, 1, 5_000);
        assert!(matches!(purse.spend(5_099, 1), Spend::Denied(left) if left.retry_after_ms == 59_901));
        assert_eq!(purse.spend(5_100, 1), Spend::Empty);
    }

    #[test]
    fn what_was_too_dear_refuses_nothing_cheaper() {
        let mut purse = Purse::default();
        purse.granted(&grant(4), 1, 0, 10);
        let denial = Denial {
            retry_after_ms: 2000,
            policies: vec!["relaxed".to_owned()],
            view: grant(1).view,
            believe_ms: None,
            due: None,
        };
        purse.denied(&denial, 5, 20);
        assert!(matches!(purse.spend(30, 5), Spend::Denied(_)));
        for left in [2, 1, 0] {
            assert!(matches!(purse.spend(30, 1), Spend::Paid(view) if view.remaining == 100 + left));
        }
        assert_eq!(purse.spend(30, 4), Spend::Empty, "the gate may have four, and knows");
        assert!(matches!(purse.spend(30, 9), Spend::Denied(_)));
        purse.denied(&denial, 1, 40);
        assert!(matches!(purse.spend(50, 1), Spend::Denied(_)));
    }

    #[test]
    fn a_lowered_limit_takes_what_is_in_hand_beyond_it() {
        let mut purse = Purse::default();
        purse.granted(&grant(100), 1, 0, 10);
        purse.granted(&grant(50), 1, 20, 30);
        assert_eq!(purse.tokens(30), 148);
        purse.granted(&Grant { most: Some(60), ..grant(0) }, 0, 40, 50);
        assert_eq!(purse.tokens(50), 60);
        purse.granted(&Grant { most: Some(12), ..grant(0) }, 0, 60, 70);
        assert_eq!(purse.tokens(70), 12);
        purse.granted(&grant(3), 1, 80, 90);
        assert_eq!(purse.tokens(90), 14);
    }
}
