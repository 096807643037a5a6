//! Several buckets charged as one, with blocks.
//!
//! In scope: all-or-nothing, the block after a refusal, which row must be stored first. Out of scope: finding the buckets.

use super::{BucketKind, BucketSpec, Gcra, LimitView, Mark, Stored, Take, mark, seconds_up};

/// A bucket as a gate holds it: its state, its block, and what of both is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    spec: BucketSpec,
    gcra: Gcra,
    block_until_ms: u64,
    stored: Stored,
    is_shadow: bool,
}

impl Bucket {
    /// A bucket that nobody has used: full.
    #[must_use]
    pub fn fresh(spec: BucketSpec) -> Self {
        Self::restart(spec, Stored::default())
    }

    /// A bucket after a restart: it begins at its mark.
    #[must_use]
    pub const fn restart(spec: BucketSpec, stored: Stored) -> Self {
        Self {
            spec,
            gcra: Gcra::from_mark(stored.mark),
            block_until_ms: stored.block_until_ms,
            stored,
            is_shadow: false,
        }
    }

    /// What it holds and how fast it fills.
    #[must_use]
    pub const fn spec(&self) -> &BucketSpec {
        &self.spec
    }

    /// The same bucket under other settings, as when the plan changed. What was taken stays taken, token by token, but no
    /// more is missing than it holds now; a block ends, because it was made by a rule that holds no more.
    #[must_use]
    pub fn with_spec(self, spec: BucketSpec, now_ms: u64) -> Self {
        if spec == self.spec {
            return self;
        }
        let gcra = self.gcra.rescaled(&self.spec, &spec, now_ms);
        Self { spec, gcra, block_until_ms: 0, ..self }
    }

    /// The same bucket in shadow, or out of it: a bucket in shadow is charged and refuses nothing.
    #[must_use]
    pub const fn in_shadow(self, is_shadow: bool) -> Self {
        Self { is_shadow, ..self }
    }

    /// The row to store before the answer goes out; `None` if the stored one still covers this bucket.
    /// Call [`Bucket::saved`] once it is written.
    #[must_use]
    pub fn unsaved(&self) -> Option<Stored> {
        let later = mark(&self.spec, self.gcra, self.stored.mark);
        let block = self.block_until_ms != self.stored.block_until_ms;
        (later.is_some() || block)
            .then(|| Stored { mark: later.unwrap_or(self.stored.mark), block_until_ms: self.block_until_ms })
    }

    /// The row as it is stored: where a restart begins.
    #[must_use]
    pub const fn stored(&self) -> Stored {
        self.stored
    }

    /// Notes that this row is written.
    pub fn saved(&mut self, stored: Stored) {
        self.stored = stored;
    }

    /// Whether it is full and unblocked, its stored mark included: then it may be forgotten, and its row deleted.
    #[must_use]
    pub fn is_idle(&self, now_ms: u64) -> bool {
        let Mark(mark_us) = self.stored.mark;
        let full_at_us = self.gcra.full_at_us.max(mark_us);
        full_at_us <= now_ms.saturating_mul(1000) && self.block_until_ms.max(self.stored.block_until_ms) <= now_ms
    }

    /// What headers show of it.
    #[must_use]
    pub fn view(&self, now_ms: u64) -> LimitView {
        LimitView {
            policy: self.policy().into(),
            limit: self.spec.limit,
            window_s: seconds_up(self.spec.window_ms).max(1),
            remaining: self.gcra.remaining(&self.spec, now_ms),
            reset_s: seconds_up(self.gcra.reset_ms(now_ms)),
        }
    }

    /// The name of its policy in headers and problems: the tier, and whose bucket if not the caller's own.
    #[must_use]
    pub fn policy(&self) -> String {
        match self.spec.kind {
            BucketKind::Principal => self.spec.tier.to_string(),
            kind @ (BucketKind::Address | BucketKind::Workspace) => {
                format!("{}-{kind}", self.spec.tier)
            }
        }
    }

    /// What a charge would come to; nothing changes. A block outlasts the bucket's own wait.
    fn refusal_ms(&self, now_ms: u64, cost: u32) -> Option<u64> {
        let mut gcra = self.gcra;
        let wait_ms = match gcra.take(&self.spec, now_ms, cost) {
            Take::Allowed { .. } => 0,
            Take::Denied { retry_after_ms } => retry_after_ms,
        };
        let blocked_ms = self.block_until_ms.saturating_sub(now_ms);
        Some(wait_ms.max(blocked_ms)).filter(|ms| *ms > 0)
    }

    /// What it refuses in earnest.
    fn denies(&self, now_ms: u64, cost: u32) -> bool {
        !self.is_shadow && self.refusal_ms(now_ms, cost).is_some()
    }

    /// Begins a block, unless one is running: attempts during a block do not lengthen it.
    fn block(&mut self, now_ms: u64) {
        if self.spec.block_ms > 0 && self.block_until_ms <= now_ms {
            self.block_until_ms = now_ms.saturating_add(self.spec.block_ms);
        }
    }
}

/// What came of a charge to several buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// All paid.
    Allowed {
        /// The bucket with the fewest tokens left.
        view: LimitView,
    },
    /// None paid.
    Denied {
        /// Milliseconds after which the same request passes if no other comes before it.
        retry_after_ms: u64,
        /// The names of the policies that refused.
        policies: Vec<String>,
        /// The bucket that refused for the longest.
        view: LimitView,
    },
}

/// Charges every bucket, or none. Store what [`Bucket::unsaved`] names before answering, whichever way it went.
/// A bucket in shadow pays what it has, and is blocked like any other, so that what it would refuse can be counted.
/// `None` for no buckets.
pub fn charge(buckets: &mut [Bucket], now_ms: u64, cost: u32) -> Option<Charge> {
    if buckets.iter().any(|bucket| bucket.denies(now_ms, cost)) {
        return deny(buckets, now_ms, cost);
    }
    for bucket in buckets.iter_mut() {
        if bucket.refusal_ms(now_ms, cost).is_some() {
            bucket.block(now_ms);
        } else {
            bucket.gcra.take(&bucket.spec, now_ms, cost);
        }
    }
    Some(Charge::Allowed { view: nearest(buckets, now_ms)? })
}

/// The bucket that will refuse first. One that refuses nothing is none to tell of, unless there is no other.
pub(super) fn nearest(buckets: &[Bucket], now_ms: u64) -> Option<LimitView> {
    let views = buckets.iter().map(|bucket| (bucket.is_shadow, bucket.view(now_ms)));
    views.min_by_key(|(is_shadow, view)| (*is_shadow, view.remaining)).map(|(_, view)| view)
}

/// The policies in shadow that would refuse this charge. Ask before [`charge`], which changes what they hold.
#[must_use]
pub fn would_refuse(buckets: &[Bucket], now_ms: u64, cost: u32) -> Vec<String> {
    let shadows = buckets.iter().filter(|bucket| bucket.is_shadow && cost > 0);
    shadows.filter(|bucket| bucket.refusal_ms(now_ms, cost).is_some()).map(Bucket::policy).collect()
}

/// What an isolate asks for beyond the cost of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Tokens it would spend in the next second.
    pub wanted: u32,
    /// Tokens it still holds.
    pub held: u32,
}

/// Charges every bucket for a request, and for as many of the wanted further tokens as all of them still hold. What is
/// granted is debited here, before anybody can spend it.
///
/// An isolate never holds more than an eighth of a bucket: isolates that ask together all get some, and one that goes
/// quiet strands no more than that. It is the published under-use: isolates · burst / 8.
///
/// A bucket in shadow bounds the further tokens too, never the request: what it would refuse comes to the gate one by one
/// and is counted there.
pub fn charge_up_to(buckets: &mut [Bucket], now_ms: u64, cost: u32, wish: Wish) -> Option<(Charge, u32)> {
    let charged = charge(buckets, now_ms, cost)?;
    if !matches!(charged, Charge::Allowed { .. }) {
        return Some((charged, 0));
    }
    let there = buckets.iter().map(|bucket| bucket.gcra.remaining(&bucket.spec, now_ms)).min()?;
    let share = buckets.iter().map(|bucket| bucket.spec.lease_share()).min()?;
    if !would_refuse(buckets, now_ms, 1).is_empty() {
        return Some((charged, 0));
    }
    let extra = u64::from(wish.wanted).min(there).min(share.saturating_sub(u64::from(wish.held)));
    let extra = u32::try_from(extra).unwrap_or(u32::MAX);
    if extra == 0 {
        return Some((charged, 0));
    }
    Some((charge(buckets, now_ms, extra)?, extra))
}

/// What a refusal says, and the blocks that begin with it.
pub(super) fn deny(buckets: &mut [Bucket], now_ms: u64, cost: u32) -> Option<Charge> {
    for bucket in buckets.iter_mut().filter(|bucket| bucket.denies(now_ms, cost)) {
        bucket.block(now_ms);
    }
    refusal(buckets, now_ms, cost)
}

/// What would refuse a charge, with nothing taken and no block begun: for a call that something else refuses already.
/// `None` if nothing would.
#[must_use]
pub fn refusal(buckets: &[Bucket], now_ms: u64, cost: u32) -> Option<Charge> {
    let refusing = || buckets.iter().filter(|bucket| bucket.denies(now_ms, cost));
    let policies = refusing().map(Bucket::policy).collect();
    let waits = refusing().filter_map(|bucket| Some((bucket.refusal_ms(now_ms, cost)?, bucket)));
    let (retry_after_ms, longest) = waits.max_by_key(|(wait_ms, _)| *wait_ms)?;
    // The reset of a refusal is its wait: Retry-After must not come before it (RateLimit header draft, section 5).
    let view = LimitView { remaining: 0, reset_s: seconds_up(retry_after_ms), ..longest.view(now_ms) };
    Some(Charge::Denied { retry_after_ms, policies, view })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Limits, Tier};
    use crate::role::Plan;

    fn buckets(tier: Tier) -> [Bucket; 3] {
        Limits::default().buckets(tier, Plan::Free).map(Bucket::fresh)
    }

    #[test]
    fn the_eleventh_strict_call_is_refused_for_the_block() {
        let mut buckets = buckets(Tier::Strict);
        for _ in 0..10 {
            assert!(matches!(charge(&mut buckets, 5_000, 1), Some(Charge::Allowed { .. })));
        }
        let before = buckets;
        let Some(Charge::Denied { retry_after_ms, policies, view }) = charge(&mut buckets, 5_000, 1) else {
            unreachable!("the bucket is empty")
        };
        assert_eq!((retry_after_ms, policies, view.reset_s), (300_000, vec!["strict".to_owned()], 300));
        // Only the caller's own bucket is blocked, and its block is stored before the answer.
        assert_eq!(buckets[1..], before[1..]);
        assert_eq!(buckets[0].unsaved().map(|row| row.block_until_ms), Some(305_000));
    }

    #[test]
    fn who_only_looks_begins_no_block() {
        let mut buckets = buckets(Tier::Strict);
        assert_eq!(refusal(&buckets, 5_000, 1), None);
        for _ in 0..10 {
            let _ = charge(&mut buckets, 5_000, 1);
        }
        // Without a block the eleventh would wait for one token, at ten a minute.
        let refused = refusal(&buckets, 5_000, 1);
        assert!(
            matches!(&refused, Some(Charge::Denied { retry_after_ms: 6_000, policies, .. }) if policies == &["strict"])
        );
        assert_eq!(charge(&mut buckets, 11_000, 1).map(|charge| matches!(charge, Charge::Allowed { .. })), Some(true));
    }

    #[test]
    fn a_stored_mark_covers_a_second_of_rate() {
        let [mut bucket, ..] = buckets(Tier::Relaxed);
        let _ = charge(std::slice::from_mut(&mut bucket), 1_000, 1);
        let row = bucket.unsaved().expect("nothing is stored yet");
        assert_eq!(row.mark, Mark(1_000_000 + 120_000 + 1_000_000));
        bucket.saved(row);
        // 500 a minute are 8.3 a second: eight more pass without a write.
        for _ in 0..8 {
            let _ = charge(std::slice::from_mut(&mut bucket), 1_000, 1);
            assert_eq!(bucket.unsaved(), None);
        }
        let _ = charge(std::slice::from_mut(&mut bucket), 1_000, 1);
        assert!(bucket.unsaved().is_some());
    }

    #[test]
    fn a_policy_in_shadow_refuses_nothing_and_names_what_it_would_have_refused() {
        let shadow = buckets(Tier::Strict).map(|bucket| bucket.in_shadow(bucket.policy() == "strict"));
        let mut buckets = shadow;
        for call in 1..=50 {
            let would = would_refuse(&buckets, 5_000, 1);
            assert_eq!(would.len(), usize::from(call > 10), "call {call}");
            let wish = Wish { wanted: 9, held: 0 };
            let Some((Charge::Allowed { view }, extra)) = charge_up_to(&mut buckets, 5_000, 1, wish) else {
                unreachable!("the address has fifty, and nothing else refuses")
            };
            assert_eq!(&*view.policy, "strict-address");
            assert!(call < 10 || extra == 0, "what would be refused is never prepaid");
            if extra > 0 {
                buckets = shadow;
                for _ in 0..call {
                    let _ = charge(&mut buckets, 5_000, 1);
                }
            }
        }
        let refused = charge(&mut buckets, 5_000, 1);
        assert!(matches!(refused, Some(Charge::Denied { policies, .. }) if policies == ["strict-address"]));
    }

    #[test]
    fn a_block_ends_with_the_rule_that_made_it() {
        let [mut bucket, ..] = buckets(Tier::Strict);
        for _ in 0..11 {
            let _ = charge(std::slice::from_mut(&mut bucket), 5_000, 1);
        }
        bucket.saved(bucket.unsaved().expect("a block is stored"));
        let spec = BucketSpec { limit: 100, burst: 100, ..*bucket.spec() };
        let mut bucket = bucket.with_spec(spec, 5_000);
        assert_eq!(bucket.unsaved().map(|row| row.block_until_ms), Some(0));
        assert!(matches!(charge(std::slice::from_mut(&mut bucket), 6_000, 1), Some(Charge::Allowed { .. })));
    }

    #[test]
    fn what_was_taken_stays_taken_under_another_plan() {
        let spec = |plan| Limits::default().bucket(Tier::Standard, BucketKind::Principal, plan);
        let taken = |tokens| {
            let mut bucket = Bucket::fresh(spec(Plan::Enterprise));
            let _ = charge(std::slice::from_mut(&mut bucket), 5_000, tokens);
            bucket
        };
        let left = |bucket: Bucket, plan| bucket.with_spec(spec(plan), 5_000).view(5_000).remaining;
        assert_eq!(left(taken(0), Plan::Free), 100);
        assert_eq!(left(taken(40), Plan::Free), 60);
        assert_eq!(left(taken(9_000), Plan::Free), 0, "1,000 are left of 10,000, and 100 are all there is now");
        // No more is missing than a bucket holds: the first token is back after 600 ms, not after a share of 9,000.
        assert_eq!(taken(9_000).with_spec(spec(Plan::Free), 5_000).view(5_600).remaining, 1);
        let upgraded = taken(9_000).with_spec(spec(Plan::Free), 5_000).with_spec(spec(Plan::Enterprise), 5_000);
        assert_eq!(upgraded.view(5_000).remaining, 9_900);
    }

    /// Shorter pauses between tokens must not make a debt of an hour out of that of a second, nor the reverse.
    #[test]
    fn another_window_counts_tokens_and_not_time() {
        let [mut bucket, ..] = buckets(Tier::Relaxed);
        let _ = charge(std::slice::from_mut(&mut bucket), 5_000, 500);
        let hourly = BucketSpec { window_ms: 3_600_000, ..*bucket.spec() };
        assert_eq!(bucket.with_spec(hourly, 5_000).view(5_000).remaining, 0);
        let second = BucketSpec { window_ms: 1_000, ..*bucket.spec() };
        assert_eq!(bucket.with_spec(second, 5_000).view(6_000).remaining, 500);
        let later = bucket.with_spec(hourly, 5_000);
        assert_eq!(later.unsaved().map(|row| row.mark > Mark(5_000_000 + 3_600_000_000)), Some(true), "stored ahead");
    }
}
