//! What a purse does with days, blocks, debts and a silent source.

use super::*;

const LENGTH: DayLength = DayLength::new(1_000).expect("a second");

#[test]
fn nobody_owes_more_than_the_day_or_for_longer_than_he_may() {
    let mut purse = Purse::default();
    purse.granted(Granted { day: Day(1), units: 5, used: 45 }, 1_000);
    let owing = |purse: &Purse, cost, now_ms| purse.owing(Day(1), 60, cost, now_ms, 500);
    purse.fell_silent(1_100);
    purse.owe(10);
    // What a question carries is owed while nobody knows whether it was counted.
    assert_eq!(purse.take_debt(), 10);
    assert_eq!((owing(&purse, 4, 1_200), owing(&purse, 6, 1_200)), (Owing::May { spare: 1 }, Owing::UsedUp));
    purse.settle(10, false);
    purse.fell_silent(1_300);
    assert_eq!((owing(&purse, 5, 1_599), owing(&purse, 5, 1_600)), (Owing::May { spare: 0 }, Owing::TooLong));
    let owed = purse.take_debt();
    purse.granted(Granted { day: Day(1), units: 0, used: 55 }, 1_700);
    purse.settle(owed, true);
    assert_eq!((owing(&purse, 5, 1_700), owing(&purse, 6, 1_700)), (Owing::May { spare: 0 }, Owing::UsedUp));
    purse.fell_silent(9_000);
    assert_eq!(owing(&purse, 5, 9_100), Owing::May { spare: 0 }, "it was silent anew");
}

#[test]
fn a_day_begins_at_midnight_and_its_units_end_with_it() {
    assert_eq!((LENGTH.day(999), LENGTH.day(1_000), LENGTH.left_ms(1_999)), (Day(0), Day(1), 1));
    let mut purse = Purse::default();
    purse.granted(Granted { day: Day(1), units: 2, used: 2 }, 1_000);
    assert!(purse.spend(Day(1), 1) && !purse.spend(Day(2), 1));
    assert_eq!((purse.units(Day(1)), purse.units(Day(2))), (1, 0));
}

#[test]
fn blocks_are_a_hundredth_and_shrink_to_one() {
    let mut purse = Purse::default();
    assert_eq!(purse.wanted(Day(0), 100_000, 1), 1_000);
    for (used, block) in [(90_000, 625), (99_900, 6), (99_990, 1), (100_000, 1)] {
        purse.granted(Granted { day: Day(0), units: 0, used }, 0);
        assert_eq!(purse.wanted(Day(0), 100_000, 1), block, "{used}");
    }
    assert_eq!(purse.wanted(Day(0), 60, 9), 9, "never less than is needed");
}

#[test]
fn nothing_left_is_believed_for_a_moment() {
    let mut purse = Purse::default();
    purse.granted(Granted { day: Day(0), units: 0, used: 60 }, 100);
    assert!(purse.is_used_up(Day(0), 5_099) && !purse.is_used_up(Day(0), 5_100) && !purse.is_used_up(Day(1), 200));
}

#[test]
fn a_debt_is_owed_until_it_is_counted() {
    let mut purse = Purse::default();
    purse.owe(3);
    let asked = purse.take_debt();
    purse.owe(2);
    assert_eq!((asked, purse.take_debt()), (3, 2));
    purse.owe(2);
    purse.granted(Granted { day: Day(0), units: 10, used: 13 }, 0);
    assert_eq!((purse.take_debt(), purse.units(Day(0))), (2, 10));
}

#[test]
fn a_restart_forgets_no_debt_and_not_since_when_the_source_is_silent() {
    let mut purse = Purse::default();
    purse.granted(Granted { day: Day(1), units: 0, used: 50 }, 1_000);
    purse.fell_silent(1_100);
    purse.owe(4);
    let _ = purse.take_debt();
    purse.owe(3);
    let stored = purse.unsaved(StoredPurse::default(), 60).expect("it owes");
    assert_eq!(purse.unsaved(stored, 60), None);
    let mut again = Purse::restart(stored, Day(1));
    let owing = |purse: &Purse, cost| purse.owing(Day(1), 60, cost, 1_599, 500);
    assert_eq!((owing(&again, 3), owing(&again, 4)), (Owing::May { spare: 0 }, Owing::UsedUp));
    again.fell_silent(1_600);
    assert_eq!(again.owing(Day(1), 60, 1, 1_600, 500), Owing::TooLong);
    assert_eq!(again.take_debt(), 7);
    again.settle(7, true);
    assert_eq!(again.unsaved(stored, 60).map(|row| row.owed), Some(0));
}

#[test]
fn of_two_clocks_around_midnight_the_one_ahead_counts() {
    let mut purse = Purse::default();
    assert!(purse.granted(Granted { day: Day(8), units: 5, used: 5 }, 7_999));
    assert_eq!((purse.today(Day(7)), purse.units(purse.today(Day(7)))), (Day(8), 5));
    assert!(!purse.granted(Granted { day: Day(7), units: 9, used: 9 }, 7_999), "that day is over here");
    purse.owe(2);
    purse.begin(Day(9), Day(8));
    assert_eq!((purse.today(Day(8)), purse.units(Day(9)), purse.take_debt()), (Day(9), 0, 2));
    purse.begin(Day(700), Day(9));
    assert_eq!(purse.today(Day(9)), Day(10), "a clock that is wrong by more leads nobody along");
    let wrong = StoredPurse { day: Day(700), units: 5, used: 5, ..StoredPurse::default() };
    assert_eq!(Purse::restart(wrong, Day(9)), Purse::default());
}

#[test]
fn a_silent_source_is_asked_again_until_it_answers() {
    let mut purse = Purse::default();
    purse.fell_silent(1_000);
    assert!(purse.is_silent() && !purse.may_ask(1_249) && purse.may_ask(1_250));
    purse.granted(Granted { day: Day(1), units: 0, used: 9 }, 1_300);
    assert!(!purse.is_silent() && purse.may_ask(1_300));
}

#[test]
fn what_headers_show_does_not_grow_by_a_restart() {
    let mut purse = Purse::default();
    purse.granted(Granted { day: Day(1), units: 5, used: 45 }, 1_500);
    let stored = purse.unsaved(StoredPurse::default(), 60).expect("a new day");
    let again = Purse::restart(stored, Day(1));
    assert_eq!(again.view(LENGTH, 60, 1_500).remaining, 20);
}

#[test]
fn headers_show_what_is_left_of_the_day() {
    let mut purse = Purse::default();
    purse.granted(Granted { day: Day(1), units: 5, used: 45 }, 1_500);
    let view = purse.view(LENGTH, 60, 1_500);
    assert_eq!((&*view.policy, view.limit, view.window_s, view.remaining, view.reset_s), ("daily", 60, 1, 20, 1));
}

/// Gates find their units by this after a deploy.
#[test]
fn the_stored_form_is_fixed() {
    let silent_since_ms = 1_795_219_200_000;
    let stored = StoredPurse { day: Day(20_778), units: 937, used: 4_000, owed: 3, silent_since_ms };
    let text = r#"{"day":20778,"units":937,"used":4000,"owed":3,"silent_since_ms":1795219200000}"#;
    assert_eq!(serde_json::to_string(&stored).expect("json"), text);
    assert_eq!(serde_json::from_str::<StoredPurse>(text).expect("purse"), stored);
}
