//! The published bound of leased admissions, whatever isolates and clocks do.

use drey_core::lease::{Denial, Grant, Purse, Spend};
use drey_core::limit::{Bucket, BucketSpec, Charge, charge_up_to};
use proptest::prelude::*;

use crate::limit::{START_MS, specs};

/// How long tokens may be held (design §2).
const TOKENS_MS: u64 = 5_000;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A call to an isolate, after a pause, answered after a delay.
    Call { isolate: usize, cost: u32, pause_ms: u64, delay_ms: u64 },
    /// An isolate is gone with everything it held.
    Evict { isolate: usize },
    /// The gate restarts from what it has stored.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let cost = prop_oneof![8 => Just(1_u32), 1 => 2_u32..12];
    let call = (0_usize..4, cost, prop_oneof![6 => 0_u64..20, 1 => 0_u64..9_000], 0_u64..40)
        .prop_map(|(isolate, cost, pause_ms, delay_ms)| Step::Call { isolate, cost, pause_ms, delay_ms });
    let evict = (0_usize..4).prop_map(|isolate| Step::Evict { isolate });
    prop::collection::vec(prop_oneof![20 => call, 1 => evict, 1 => Just(Step::Restart)], 1..300)
}

struct World {
    bucket: Bucket,
    purses: Vec<Purse>,
    admitted: Vec<u64>,
    debited: u64,
    now_ms: u64,
}

impl World {
    fn new(spec: BucketSpec) -> Self {
        let purses = vec![Purse::default(); 4];
        Self { bucket: Bucket::fresh(spec), purses, admitted: Vec::new(), debited: 0, now_ms: START_MS }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Evict { isolate } => self.purses[isolate] = Purse::default(),
            Step::Restart => self.bucket = Bucket::restart(*self.bucket.spec(), self.bucket.stored()),
            Step::Call { isolate, cost, pause_ms, delay_ms } => {
                self.now_ms += pause_ms;
                // A dearer call than the bucket holds would be paid by all of it.
                let cost = cost.min(u32::try_from(self.bucket.spec().burst).unwrap_or(u32::MAX));
                self.call(isolate, cost, delay_ms);
            }
        }
    }

    fn call(&mut self, isolate: usize, cost: u32, delay_ms: u64) {
        let purse = &mut self.purses[isolate];
        purse.arrive(self.now_ms, cost);
        match purse.spend(self.now_ms, cost) {
            Spend::Paid(_) => self.admit(cost),
            Spend::Denied(_) => {}
            Spend::Empty => self.ask(isolate, cost, delay_ms),
        }
    }

    /// A call of two is two admissions.
    fn admit(&mut self, cost: u32) {
        self.admitted.extend((0..cost).map(|_| self.now_ms));
    }

    fn ask(&mut self, isolate: usize, cost: u32, delay_ms: u64) {
        let (sent_ms, wish) = (self.now_ms, self.purses[isolate].wish(self.now_ms));
        let buckets = std::slice::from_mut(&mut self.bucket);
        let (charge, extra) = charge_up_to(buckets, sent_ms + delay_ms / 2, cost, wish).expect("one bucket");
        if let Some(row) = self.bucket.unsaved() {
            self.bucket.saved(row);
        }
        self.now_ms += delay_ms;
        let purse = &mut self.purses[isolate];
        purse.answered();
        match charge {
            Charge::Allowed { view } => {
                self.debited += u64::from(cost + extra);
                purse.granted(&grant(cost + extra, view), cost, sent_ms, self.now_ms);
                self.admit(cost);
            }
            Charge::Denied { retry_after_ms, policies, view } => {
                purse.denied(
                    &Denial { retry_after_ms, policies, view, believe_ms: None, due: None },
                    cost,
                    self.now_ms,
                );
            }
        }
    }
}

pub(crate) fn grant(tokens: u32, view: drey_core::limit::LimitView) -> Grant {
    Grant {
        role: "viewer".to_owned(),
        revision: 1,
        workspace_lease_ms: 1_000,
        tokens,
        tokens_ms: TOKENS_MS,
        ..Grant::bare(view)
    }
}

proptest! {
    /// In any interval t: at most burst + rate·(t + 5 s). In whole numbers, so that no rounding hides a token.
    #[test]
    fn leased_admissions_keep_the_published_bound(spec in specs(), steps in steps()) {
        let mut world = World::new(spec);
        for step in steps {
            world.step(step);
        }
        for (first, begin) in world.admitted.iter().enumerate() {
            for (count, at) in world.admitted[first..].iter().enumerate() {
                let over = (count as u64 + 1).saturating_sub(spec.burst);
                prop_assert!(over * spec.window_ms <= (at - begin + TOKENS_MS) * spec.limit);
            }
        }
    }

    /// Nothing is spent that was not debited before.
    #[test]
    fn tokens_are_conserved(spec in specs(), steps in steps()) {
        let mut world = World::new(spec);
        for step in steps {
            world.step(step);
            let held: u64 = world.purses.iter().map(|purse| u64::from(purse.tokens(world.now_ms))).sum();
            prop_assert!(world.admitted.len() as u64 + held <= world.debited);
        }
    }

    /// The published under-use: an isolate that holds tokens holds at most an eighth of the bucket.
    #[test]
    fn an_isolate_strands_at_most_an_eighth(spec in specs(), steps in steps()) {
        let mut world = World::new(spec);
        for step in steps {
            world.step(step);
            for purse in &world.purses {
                prop_assert!(u64::from(purse.tokens(world.now_ms)) <= spec.burst / 8);
            }
        }
    }

    /// The same while answers overtake each other: nobody knows how long a gate takes.
    #[test]
    fn answers_on_their_way_strand_no_more(spec in specs(), steps in prop::collection::vec((0_usize..6, 0_u64..6), 1..300)) {
        let (mut bucket, mut purse) = (Bucket::fresh(spec), Purse::default());
        let mut under_way: Vec<(u64, bool, Grant)> = Vec::new();
        let mut now_ms = START_MS;
        for (step, pause_ms) in steps {
            now_ms += pause_ms;
            if step < 4 {
                purse.arrive(now_ms, 1);
                if purse.spend(now_ms, 1) == Spend::Empty {
                    let wish = purse.wish(now_ms);
                    let charged = charge_up_to(std::slice::from_mut(&mut bucket), now_ms, 1, wish).expect("one bucket");
                    match charged {
                        (Charge::Allowed { view }, extra) => under_way.push((now_ms, wish.wanted > 0, grant(1 + extra, view))),
                        (Charge::Denied { .. }, _) if wish.wanted > 0 => purse.answered(),
                        (Charge::Denied { .. }, _) => {}
                    }
                }
            } else if !under_way.is_empty() {
                let (sent_ms, wished, grant) = under_way.remove(step % under_way.len());
                if wished {
                    purse.answered();
                }
                purse.granted(&grant, 1, sent_ms, now_ms);
            }
            prop_assert!(u64::from(purse.tokens(now_ms)) <= spec.burst / 8);
        }
    }
}
