//! The daily quota: however gates take, spend, forget and die, a day never admits more than it holds.

use std::collections::BTreeMap;

use drey_core::quota::{Day, Granted, Owing, Purse, StoredPurse};
use proptest::prelude::*;

/// Postgres: `update … where used + n <= quota returning`.
#[derive(Default)]
struct Truth {
    used: BTreeMap<Day, u64>,
}

impl Truth {
    fn reserve(&mut self, day: Day, wanted: u64, debt: u64, quota: u64) -> Granted {
        let used = self.used.entry(day).or_default();
        *used += debt;
        let units = wanted.min(quota.saturating_sub(*used));
        *used += units;
        Granted { day, units, used: *used }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Call { gate: usize, cost: u64, ahead: u64 },
    LostAnswer { gate: usize },
    Evict { gate: usize },
    NextDay,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        // Clocks differ: around midnight one gate is a day ahead of another.
        12 => (0..3_usize, 1..4_u64, 0..2_u64).prop_map(|(gate, cost, ahead)| Step::Call { gate, cost, ahead }),
        1 => (0..3_usize).prop_map(|gate| Step::LostAnswer { gate }),
        1 => (0..3_usize).prop_map(|gate| Step::Evict { gate }),
        1 => Just(Step::NextDay),
    ]
}

/// What happens while the source may be silent.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Call { gate: usize, cost: u64 },
    Evict { gate: usize },
    Silence(bool),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        12 => (0..3_usize, 1..4_u64).prop_map(|(gate, cost)| Trouble::Call { gate, cost }),
        2 => (0..3_usize).prop_map(|gate| Trouble::Evict { gate }),
        1 => any::<bool>().prop_map(Trouble::Silence),
    ]
}

#[derive(Default)]
struct Gate {
    purse: Purse,
    stored: StoredPurse,
}

impl Gate {
    /// As the object does: ask if there is not enough, spend, store what the answer rests on.
    fn call(&mut self, truth: &mut Truth, day: Day, cost: u64, quota: u64) -> bool {
        if self.purse.units(day) < cost {
            let wanted = self.purse.wanted(day, quota, cost);
            self.purse.granted(truth.reserve(day, wanted, 0, quota), 0);
        }
        let paid = self.purse.spend(day, cost);
        if let Some(row) = self.purse.unsaved(self.stored, quota) {
            self.stored = row;
        }
        paid
    }

    /// The same while the source is silent: the call is owed, if it may be.
    fn call_on_debt(&mut self, day: Day, cost: u64, quota: u64) -> bool {
        let paid = self.purse.spend(day, cost);
        let owed = !paid && matches!(self.purse.owing(day, quota, cost, 0, 1), Owing::May { .. });
        if owed {
            self.purse.owe(cost);
        }
        self.stored = self.purse.unsaved(self.stored, quota).unwrap_or(self.stored);
        paid || owed
    }

    /// A question that is answered.
    fn settle(&mut self, truth: &mut Truth, day: Day, quota: u64) {
        let owed = self.purse.take_debt();
        let granted = truth.reserve(day, 0, owed, quota);
        self.purse.settle(owed, true);
        self.purse.granted(granted, 0);
        self.stored = self.purse.unsaved(self.stored, quota).unwrap_or(self.stored);
    }
}

proptest! {
    #[test]
    fn no_day_admits_more_than_its_quota(quota in 1..400_u64, steps in prop::collection::vec(step(), 1..400)) {
        let mut truth = Truth::default();
        let mut gates: [Gate; 3] = Default::default();
        let mut admitted: BTreeMap<Day, u64> = BTreeMap::new();
        let mut day = Day(1);
        for step in steps {
            match step {
                Step::Call { gate, cost, ahead } => {
                    let day = gates[gate].purse.today(Day(day.0 + ahead));
                    if gates[gate].call(&mut truth, day, cost, quota) {
                        *admitted.entry(day).or_default() += cost;
                    }
                }
                Step::LostAnswer { gate } => {
                    truth.reserve(day, gates[gate].purse.wanted(day, quota, 1), 0, quota);
                }
                Step::Evict { gate } => gates[gate].purse = Purse::restart(gates[gate].stored, day),
                Step::NextDay => day = Day(day.0 + 1),
            }
        }
        for (day, count) in admitted {
            prop_assert!(count <= quota, "{count} of {quota} on {day:?}");
            prop_assert!(truth.used[&day] <= quota);
        }
    }

    #[test]
    fn without_losses_only_what_gates_hold_is_left_over(quota in 1..2_000_u64, order in prop::collection::vec(0..3_usize, 6_000)) {
        let mut truth = Truth::default();
        let mut gates: [Gate; 3] = Default::default();
        let day = Day(7);
        let admitted = order.iter().filter(|gate| gates[**gate].call(&mut truth, day, 1, quota)).count() as u64;
        let stranded: u64 = gates.iter().map(|gate| gate.purse.units(day)).sum();
        prop_assert_eq!(admitted + stranded, truth.used[&day]);
        prop_assert!(stranded <= 3 * (quota / 100).max(1));
    }

    #[test]
    fn a_restart_never_finds_more_than_there_was(quota in 1..5_000_u64, costs in prop::collection::vec(1..5_u64, 1..200)) {
        let mut truth = Truth::default();
        let mut gate = Gate::default();
        for cost in costs {
            gate.call(&mut truth, Day(3), cost, quota);
            let again = Purse::restart(gate.stored, Day(3));
            prop_assert!(again.units(Day(3)) <= gate.purse.units(Day(3)));
        }
    }

    /// However gates die while they owe: each call is counted in the end, and each of them admits no more than a day.
    #[test]
    fn what_was_owed_is_counted_whoever_dies(quota in 1..200_u64, steps in prop::collection::vec(trouble(), 1..400)) {
        let (mut truth, day, mut silent, mut admitted) = (Truth::default(), Day(5), false, 0);
        let mut gates: [Gate; 3] = Default::default();
        for step in steps {
            match step {
                Trouble::Call { gate, cost } if silent => {
                    let gate = &mut gates[gate];
                    admitted += if gate.call_on_debt(day, cost, quota) { cost } else { 0 };
                    prop_assert!(gate.stored.owed == 0 || gate.stored.owed + gate.stored.used <= quota);
                }
                Trouble::Call { gate, cost } => {
                    gates[gate].settle(&mut truth, day, quota);
                    admitted += if gates[gate].call(&mut truth, day, cost, quota) { cost } else { 0 };
                }
                Trouble::Evict { gate } => gates[gate].purse = Purse::restart(gates[gate].stored, day),
                Trouble::Silence(is) => silent = is,
            }
        }
        for gate in &mut gates {
            gate.settle(&mut truth, day, quota);
        }
        let counted = truth.used.values().sum::<u64>();
        prop_assert!(admitted <= counted, "{admitted} of {counted}");
        prop_assert!(admitted <= quota * 3);
    }

    #[test]
    fn a_debt_is_counted_once(debts in prop::collection::vec(0..50_u64, 1..20)) {
        let mut truth = Truth::default();
        let mut purse = Purse::default();
        for debt in &debts {
            purse.owe(*debt);
            let owed = purse.take_debt();
            purse.granted(truth.reserve(Day(0), 1, owed, 1_000_000), 0);
        }
        prop_assert_eq!(purse.take_debt(), 0);
        prop_assert_eq!(truth.used[&Day(0)], debts.iter().sum::<u64>() + debts.len() as u64);
    }
}
