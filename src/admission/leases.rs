//! What this isolate holds of callers in tenants: their role and revision for a second, their tokens for five.
//!
//! In scope: the bounded table, and which request asks the gate while others wait. Out of scope: the arithmetic
//! ([`drey_core::lease`]) and the hop itself.
//!
//! No future is shared between requests (the runtime forbids it): whoever asks leaves a mark with a deadline, and the
//! others look again by themselves.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;

use drey_core::id::{ApiKeyId, UserId};
use drey_core::lease::{Denial, Grant, Purse, Spend};
use drey_core::limit::{LimitView, Tier, Wish};
use drey_durable_objects::workspace_gate::{News, Subject};
use lru::LruCache;

/// 16,384 callers in tenants are about 8 MB of an isolate's 128.
const MOST_HELD: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);
/// Tenants whose news this isolate remembers.
const MOST_TOLD: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);
/// A lease is renewed aside in its last quarter of a second, in which a caller of four calls a second comes by; of a short one
/// in its second half.
const RENEW_MS: u64 = 250;
/// How long others wait for the one who asks before they ask themselves.
pub(super) const PATIENCE_MS: u64 = 50;

/// A caller in a tenant. A key is a caller of its own: what it spends is not its creator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) subject: Subject,
    pub(super) user: UserId,
    pub(super) program: Option<ApiKeyId>,
}

/// What one request needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) tier: Tier,
    pub(super) cost: u32,
    pub(super) least_revision: Option<i64>,
    /// The end of the credential: nothing is held beyond it.
    pub(super) expires_ms: u64,
}

/// What a request can do now.
#[derive(Debug)]
pub(super) enum Turn {
    /// Go on; `renew` says that somebody should ask for more, off the request's way.
    Go { grant: Rc<Grant>, view: LimitView, renew: bool },
    /// Stop.
    Stop(Denial),
    /// Ask the gate.
    Ask { wish: Wish, least_revision: Option<i64> },
    /// Look again in a moment: another request is asking.
    Wait,
}

#[derive(Debug, Default)]
struct Held {
    grant: Option<Rc<Grant>>,
    sent_ms: u64,
    until_ms: u64,
    strict: Purse,
    standard: Purse,
    relaxed: Purse,
    tickets: Purse,
    asking_until_ms: u64,
}

impl Held {
    /// Lifts the grant to a revision that this isolate has written itself.
    fn reach(&mut self, revision: i64) {
        if let Some(grant) = self.grant.as_mut().filter(|grant| grant.revision < revision) {
            Rc::make_mut(grant).revision = revision;
        }
    }

    fn tokens(&self, now_ms: u64) -> u64 {
        [&self.strict, &self.standard, &self.relaxed, &self.tickets]
            .map(|purse| u64::from(purse.tokens(now_ms)))
            .iter()
            .sum()
    }

    fn purse(&mut self, tier: Tier) -> &mut Purse {
        match tier {
            Tier::Strict | Tier::Anonymous | Tier::SignIn => &mut self.strict,
            Tier::Standard => &mut self.standard,
            Tier::Relaxed => &mut self.relaxed,
            Tier::Tickets => &mut self.tickets,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// When a role changed last: no grant asked for before it counts.
    roles_ms: u64,
    /// The newest revision this isolate has written.
    revision: i64,
}

/// The isolate's table.
#[derive(Debug)]
pub struct Leases {
    held: RefCell<LruCache<Key, Held>>,
    told: RefCell<LruCache<Subject, Told>>,
    granted: Cell<u64>,
    spent: Cell<u64>,
    renewals: Cell<u64>,
}

/// Tokens since the isolate's start, for the operator.
#[derive(Clone, Copy, Debug)]
pub struct Tokens {
    /// Granted by gates.
    pub granted: u64,
    /// Of those, spent.
    pub spent: u64,
    /// Of those, neither spent nor in hand: their time is over, or they were dropped.
    pub expired: u64,
}

impl Default for Leases {
    fn default() -> Self {
        Self {
            held: RefCell::new(LruCache::new(MOST_HELD)),
            told: RefCell::new(LruCache::new(MOST_TOLD)),
            granted: Cell::new(0),
            spent: Cell::new(0),
            renewals: Cell::new(0),
        }
    }
}

impl Leases {
    /// Notes a request, once. Its arrival sizes the next lease.
    pub(super) fn arrive(&self, key: Key, need: Need, now_ms: u64) {
        let mut held = self.held.borrow_mut();
        held.get_or_insert_mut(key, Held::default).purse(need.tier).arrive(now_ms, need.cost);
    }

    /// What a request can do now. `patient` says that it may still wait for another's answer.
    pub(super) fn turn(&self, key: Key, need: Need, now_ms: u64, patient: bool) -> Turn {
        let told = self.told.borrow_mut().get(&key.subject).copied().unwrap_or_default();
        let least = need.least_revision.unwrap_or_default().max(told.revision);
        let mut table = self.held.borrow_mut();
        let held = table.get_or_insert_mut(key, Held::default);
        let fresh = now_ms < held.until_ms.min(need.expires_ms) && held.sent_ms > told.roles_ms;
        held.reach(told.revision);
        let grant = held.grant.clone().filter(|grant| fresh && grant.revision >= least);
        let purse = held.purse(need.tier);
        let spent = match grant {
            Some(_) => purse.spend(now_ms, need.cost),
            // Nothing is spent before it is known who spends it.
            None => purse.refusal(now_ms, need.cost).map_or(Spend::Empty, Spend::Denied),
        };
        match (spent, grant) {
            (Spend::Denied(denial), _) => Turn::Stop(denial),
            (Spend::Paid(view), Some(grant)) => {
                let ending = held.until_ms.saturating_sub(now_ms) < RENEW_MS.min(grant.workspace_lease_ms / 2);
                let purse = held.purse(need.tier);
                // During a denial there is nothing to be had.
                let wanted = (ending || purse.is_low(now_ms)) && purse.refusal(now_ms, u32::MAX).is_none();
                let renew = wanted && held.asking_until_ms <= now_ms;
                if renew {
                    held.asking_until_ms = now_ms + PATIENCE_MS;
                }
                self.spent.set(self.spent.get() + u64::from(need.cost));
                Turn::Go { grant, view, renew }
            }
            _ if need.tier != Tier::Strict && patient && held.asking_until_ms > now_ms => Turn::Wait,
            _ => {
                held.asking_until_ms = now_ms + PATIENCE_MS;
                let wish = held.purse(need.tier).wish(now_ms);
                Turn::Ask { wish, least_revision: (least > 0).then_some(least) }
            }
        }
    }

    /// What a renewal should ask for.
    pub(super) fn wish(&self, key: Key, tier: Tier, now_ms: u64) -> Wish {
        self.held.borrow_mut().get_mut(&key).map_or_else(Wish::default, |held| held.purse(tier).wish(now_ms))
    }

    /// Notes that the answer to a wish has come, or never will.
    pub(super) fn answered(&self, key: Key, tier: Tier, wish: Wish) {
        if let Some(held) = self.held.borrow_mut().get_mut(&key).filter(|_| wish.wanted > 0) {
            held.purse(tier).answered();
        }
    }

    /// Takes a grant that was asked for at `sent_ms`, and gives what headers show. One that another has overtaken brings
    /// its tokens and nothing else: a role of before a narrowing does not come back.
    pub(super) fn granted(&self, key: Key, need: Need, grant: &Rc<Grant>, sent_ms: u64, now_ms: u64) -> LimitView {
        let mut table = self.held.borrow_mut();
        let held = table.get_or_insert_mut(key, Held::default);
        held.asking_until_ms = 0;
        if now_ms >= held.until_ms || sent_ms >= held.sent_ms {
            held.grant = Some(Rc::clone(grant));
            (held.sent_ms, held.until_ms) = (sent_ms, sent_ms + grant.workspace_lease_ms);
        }
        let purse = held.purse(need.tier);
        purse.granted(grant, need.cost, sent_ms, now_ms);
        self.granted.set(self.granted.get() + u64::from(grant.tokens));
        self.spent.set(self.spent.get() + u64::from(need.cost.min(grant.tokens)));
        LimitView { remaining: grant.view.remaining + u64::from(purse.tokens(now_ms)), ..grant.view.clone() }
    }

    /// Takes a denial.
    pub(super) fn denied(&self, key: Key, need: Need, denial: &Denial, now_ms: u64) {
        let mut table = self.held.borrow_mut();
        let held = table.get_or_insert_mut(key, Held::default);
        held.asking_until_ms = 0;
        held.purse(need.tier).denied(denial, need.cost, now_ms);
    }

    /// Whether a gate has let him in here before, as far as this isolate remembers.
    pub(super) fn has_met(&self, key: Key) -> bool {
        self.held.borrow().peek(&key).is_some_and(|held| held.grant.is_some())
    }

    /// Takes the end of an attempt that brought neither grant nor denial of this caller.
    pub(super) fn asked(&self, key: Key) {
        if let Some(held) = self.held.borrow_mut().get_mut(&key) {
            held.asking_until_ms = 0;
        }
    }

    /// Ends what the gate has vouched for, because it no longer does. What is paid for stays, for when it does again.
    pub(super) fn unvouched(&self, key: Key) {
        if let Some(held) = self.held.borrow_mut().get_mut(&key) {
            held.grant = None;
            held.asking_until_ms = 0;
        }
    }

    /// Drops everything of a caller in a tenant: he is not one of it.
    pub(super) fn dropped(&self, key: Key) {
        self.held.borrow_mut().pop(&key);
    }

    /// Applies this isolate's own write: nothing older is taken any more. A write that changed no role leaves grants
    /// standing, at its own revision; one that did ends them.
    pub fn hear(&self, subject: Subject, news: News, now_ms: u64) {
        let mut told = self.told.borrow_mut();
        let known = told.get_or_insert_mut(subject, Told::default);
        known.revision = known.revision.max(news.revision);
        if news.roles_changed {
            known.roles_ms = known.roles_ms.max(now_ms);
        }
    }

    /// Ends the grants of a tenant of whom nobody knows whether a write happened.
    pub fn doubt(&self, subject: Subject, now_ms: u64) {
        self.told.borrow_mut().get_or_insert_mut(subject, Told::default).roles_ms = now_ms;
    }

    /// Notes a hop beside the requests.
    pub(super) fn renewing(&self) {
        self.renewals.set(self.renewals.get() + 1);
    }

    /// How many hops were made beside the requests, since the isolate's start.
    pub fn renewals(&self) -> u64 {
        self.renewals.get()
    }

    /// What became of the tokens so far. It looks at every purse: for reports, not for requests.
    pub fn tokens(&self, now_ms: u64) -> Tokens {
        let in_hand: u64 = self.held.borrow().iter().map(|(_, held)| held.tokens(now_ms)).sum();
        let (granted, spent) = (self.granted.get(), self.spent.get());
        Tokens { granted, spent, expired: granted.saturating_sub(spent).saturating_sub(in_hand) }
    }

    /// Forgets a revision that Postgres does not know (the tenant was restored from a backup).
    pub(super) fn unlearn(&self, subject: Subject) {
        self.told.borrow_mut().pop(&subject);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const KEY: Key = Key {
        subject: Subject::User(UserId::from_uuid(Uuid::nil())),
        user: UserId::from_uuid(Uuid::nil()),
        program: None,
    };

    fn need(tier: Tier, cost: u32) -> Need {
        Need { tier, cost, least_revision: None, expires_ms: u64::MAX }
    }

    fn grant(tokens: u32) -> Rc<Grant> {
        let view = LimitView { policy: "standard".into(), limit: 100, window_s: 60, remaining: 9, reset_s: 1 };
        Rc::new(Grant {
            role: "editor".to_owned(),
            revision: 7,
            authz_epoch: 2,
            workspace_lease_ms: 1_000,
            tokens,
            tokens_ms: 5_000,
            ..Grant::bare(view)
        })
    }

    /// A caller who holds four tokens of each of two tiers, from the time 1,000 on.
    fn holding() -> Leases {
        let leases = Leases::default();
        for tier in [Tier::Standard, Tier::Relaxed] {
            leases.granted(KEY, need(tier, 1), &grant(5), 1_000, 1_010);
        }
        leases
    }

    fn goes(leases: &Leases, tier: Tier, cost: u32, now_ms: u64) -> bool {
        matches!(leases.turn(KEY, need(tier, cost), now_ms, false), Turn::Go { .. })
    }

    #[test]
    fn a_gate_that_does_not_answer_takes_nothing_that_is_paid_for() {
        let leases = holding();
        assert!(matches!(leases.turn(KEY, need(Tier::Standard, 9), 1_020, false), Turn::Ask { .. }));
        leases.asked(KEY);
        assert!(goes(&leases, Tier::Relaxed, 4, 1_030));
        assert!(goes(&leases, Tier::Standard, 4, 1_030));
    }

    #[test]
    fn a_gate_that_cannot_vouch_ends_the_role_and_keeps_the_tokens() {
        let leases = holding();
        leases.unvouched(KEY);
        assert!(
            matches!(leases.turn(KEY, need(Tier::Relaxed, 1), 1_020, false), Turn::Ask { wish, .. } if wish.held == 4)
        );
        leases.granted(KEY, need(Tier::Standard, 0), &grant(0), 1_030, 1_040);
        assert!(goes(&leases, Tier::Relaxed, 4, 1_050));
    }

    #[test]
    fn one_who_is_no_member_keeps_nothing() {
        let leases = holding();
        leases.dropped(KEY);
        assert!(
            matches!(leases.turn(KEY, need(Tier::Relaxed, 1), 1_020, false), Turn::Ask { wish, .. } if wish.held == 0)
        );
    }

    #[test]
    fn what_was_too_dear_is_refused_with_or_without_a_grant_and_the_rest_is_not() {
        let leases = holding();
        let denial = Denial {
            retry_after_ms: 9_000,
            policies: vec!["relaxed".to_owned()],
            view: grant(1).view.clone(),
            believe_ms: None,
            due: None,
        };
        leases.denied(KEY, need(Tier::Relaxed, 6), &denial, 1_020);
        assert!(matches!(leases.turn(KEY, need(Tier::Relaxed, 6), 1_030, false), Turn::Stop(_)));
        assert!(goes(&leases, Tier::Relaxed, 1, 1_030));
        // Past its second the role has to be asked for, by whoever may still pass.
        assert!(matches!(leases.turn(KEY, need(Tier::Relaxed, 6), 2_500, false), Turn::Stop(_)));
        assert!(matches!(leases.turn(KEY, need(Tier::Relaxed, 1), 2_500, false), Turn::Ask { .. }));
    }
}
