//! Comparing clocks is a partial order on what they say, and forgetting clients keeps it.

use std::collections::BTreeSet;

use drey_core::sync::{Causality, Clock};
use proptest::prelude::*;

fn clocks() -> impl Strategy<Value = Clock> {
    prop::collection::btree_map("[a-d]", 0_i64..4, 0..4).prop_map(Clock::new)
}

fn at_most(one: &Clock, other: &Clock) -> bool {
    matches!(one.compare(other), Causality::Before | Causality::Equal)
}

proptest! {
    #[test]
    fn every_clock_equals_itself_and_two_that_are_equal_say_the_same(one in clocks(), other in clocks()) {
        prop_assert_eq!(one.compare(&one), Causality::Equal);
        let says_the_same = ["a", "b", "c", "d"].iter().all(|client| one.seen(client) == other.seen(client));
        prop_assert_eq!(one.compare(&other) == Causality::Equal, says_the_same);
    }

    #[test]
    fn the_other_way_round_is_the_opposite(one in clocks(), other in clocks()) {
        let opposite = match one.compare(&other) {
            Causality::Before => Causality::After,
            Causality::After => Causality::Before,
            same => same,
        };
        prop_assert_eq!(other.compare(&one), opposite);
    }

    #[test]
    fn what_comes_before_is_transitive(one in clocks(), two in clocks(), three in clocks()) {
        // Joined clocks make chains that random ones seldom are.
        let (two, three) = (one.joined(&two), one.joined(&two).joined(&three));
        prop_assert!(at_most(&one, &two) && at_most(&two, &three) && at_most(&one, &three));
    }

    #[test]
    fn a_chain_of_random_clocks_is_transitive(one in clocks(), two in clocks(), three in clocks()) {
        if at_most(&one, &two) && at_most(&two, &three) {
            prop_assert!(at_most(&one, &three));
        }
    }

    #[test]
    fn pruning_keeps_the_order(one in clocks(), other in clocks(), forgotten in prop::collection::btree_set("[a-d]", 0..4)) {
        let forgotten: BTreeSet<&str> = forgotten.iter().map(String::as_str).collect();
        let (pruned, pruned_other) = (one.pruned(&forgotten), other.pruned(&forgotten));
        match one.compare(&other) {
            Causality::Equal => prop_assert_eq!(pruned.compare(&pruned_other), Causality::Equal),
            Causality::Before => prop_assert!(at_most(&pruned, &pruned_other)),
            Causality::After => prop_assert!(at_most(&pruned_other, &pruned)),
            Causality::Concurrent => {}
        }
        prop_assert_eq!(pruned.pruned(&forgotten), pruned.clone());
        prop_assert!(pruned.entries().all(|(client, _)| !forgotten.contains(client)));
    }

    #[test]
    fn a_joined_clock_is_the_least_that_has_seen_both(one in clocks(), other in clocks(), third in clocks()) {
        let joined = one.joined(&other);
        prop_assert!(at_most(&one, &joined) && at_most(&other, &joined));
        prop_assert_eq!(joined.compare(&other.joined(&one)), Causality::Equal);
        if at_most(&one, &third) && at_most(&other, &third) {
            prop_assert!(at_most(&joined, &third));
        }
    }
}
