//! Who is here, as one is told who asks, joins or has fallen behind.

use super::*;

#[test]
fn a_snapshot_comes_in_pages() {
    let mut room = Room::default();
    for client in ["a", "b", "c"] {
        let connection = join(&mut room, client, 1, 10);
        room.frame(connection, &update(1, "{}"), 10);
    }
    let first = room.snapshot(None, None, 2);
    let second = room.snapshot(first.next.as_ref(), None, 2);
    let ids: Vec<String> = first.data.iter().chain(&second.data).map(|view| view.client_id.to_string()).collect();
    assert_eq!((ids, second.next), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], None));
}

#[test]
fn who_does_not_read_is_told_nothing_more_then_the_newest_and_in_the_end_closed() {
    let settings = Settings { probe_ms: 100, shed_ms: 1_000, ttl_ms: 100_000, ..Settings::DEFAULT };
    let mut room = Room::restore(settings, [], 0);
    let [ada, bob] = ["ada", "bob"].map(|client| join(&mut room, client, 1, 1_000));
    let mut clock = 0;
    let mut move_at = |room: &mut Room, now_ms: u64| {
        clock += 1;
        room.frame(ada, &update(clock, &format!(r#"{{"at":{clock}}}"#)), now_ms);
        heard(&room.flush(now_ms), bob)
    };
    assert_eq!(move_at(&mut room, 1_050), ["patch"]);
    assert_eq!(move_at(&mut room, 1_100), ["patch", "probe"]);
    let answer = ack(&room, bob);
    assert_eq!(room.frame(bob, &answer, 1_110), []);
    assert_eq!(move_at(&mut room, 1_150), ["patch"]);
    assert_eq!(move_at(&mut room, 1_250), ["patch", "probe"], "asked again a period after his answer");
    let answer = ack(&room, ada);
    room.frame(ada, &answer, 1_260);
    assert_eq!(move_at(&mut room, 1_350), ["patch"], "the frame that finds him out still goes to him");
    assert_eq!(move_at(&mut room, 1_450), [""; 0]);
    let peers: Vec<Peer> = room.peers().filter_map(|peer| Peer::from_attachment(&peer.to_attachment())).collect();
    let mut woken = Room::restore(settings, peers, 1_460);
    for room in [&mut room, &mut woken] {
        let mut late = room.clone();
        assert_eq!(closes(&late.tick(2_349)), []);
        assert_eq!(closes(&late.tick(2_350)), [(bob, close::TOO_SLOW)]);
        for blind in [r#"{"kind":"ack"}"#, r#"{"kind":"ack","n":1}"#] {
            assert_eq!(room.frame(bob, blind, 1_500), [], "who does not read may say so, too");
        }
        let answer = ack(room, bob);
        let told = room.frame(bob, &answer, 1_500);
        assert!(matches!(&told[1], Effect::Send { text, .. } if text.contains(r#"{"at":6}"#)));
        assert_eq!(kinds(&told), ["hello", "probe"]);
        let answer = ack(room, bob);
        room.frame(bob, &answer, 1_510);
        room.tick(2_350);
        assert!(room.peer(bob).is_some());
    }
}

/// How often somebody is asked in half a second of a room of so many, in which one moves each 25 ms.
fn asked(sockets: usize) -> usize {
    let settings = Settings { probe_ms: 100, max_per_user: 999, ..Settings::DEFAULT };
    let mut room = Room::restore(settings, [], 0);
    let seats: Vec<_> = (0..sockets).map(|client| join(&mut room, &format!("c{client}"), 1, 1_000)).collect();
    let mut asked = 0;
    for step in 1..=20 {
        let now_ms = 1_000 + 25 * step;
        room.frame(seats[0], &update(step, "{}"), now_ms);
        if heard(&room.flush(now_ms), seats[1]).contains(&"probe") {
            asked += 1;
            let answer = ack(&room, seats[1]);
            room.frame(seats[1], &answer, now_ms);
        }
    }
    asked
}

#[test]
fn a_large_room_asks_less_often_unless_it_sends_much() {
    assert_eq!(asked(2), 5, "every 100 ms");
    assert_eq!(asked(150), 2, "every 200 ms");
    assert_eq!(asked(450), 1, "every 500 ms");
}

#[test]
fn who_was_sent_much_is_asked_soon() {
    let settings = Settings { probe_ms: 100, max_per_user: 999, ..Settings::DEFAULT };
    let mut room = Room::restore(settings, [], 0);
    let seats: Vec<_> = (0..150).map(|client| join(&mut room, &format!("c{client}"), 1, 1_000)).collect();
    let state = format!(r#"{{"x":"{}"}}"#, "x".repeat(4_000));
    for seat in &seats[2..70] {
        room.frame(*seat, &update(1, &state), 1_100);
    }
    assert_eq!(heard(&room.flush(1_100), seats[1]), ["patch", "probe"], "68 states of 4,000 bytes in one frame");
    let answer = ack(&room, seats[0]);
    room.frame(seats[0], &answer, 1_100);
    let told = room.frame(seats[0], r#"{"kind":"subscribe","to":null}"#, 1_100);
    assert_eq!(kinds(&told), ["hello", "probe"], "he was told everything anew, and it may be much");
}

/// Else a socket that does not read is told everything as often as it says so, and all of that is kept for it.
#[test]
fn who_wants_to_be_told_everything_again_and_again_is_told_when_he_has_read_and_not_each_tick() {
    let settings = Settings { shed_ms: 1_000, max_per_user: 999, ..Settings::DEFAULT };
    let mut room = Room::restore(settings, [], 0);
    let [ada, bob] = ["ada", "bob"].map(|client| join(&mut room, client, 1, 1_000));
    room.frame(ada, &update(1, "{}"), 1_000);
    room.flush(1_000);
    let subscribe = r#"{"kind":"subscribe","to":null}"#;
    let wakes_ms = room.next_tick_ms(1_100);
    assert_eq!(kinds(&room.frame(bob, subscribe, 1_100)), ["hello", "probe"]);
    assert_eq!(room.next_tick_ms(1_100), wakes_ms, "no alarm of its own");
    for _ in 0..50 {
        assert_eq!(kinds(&room.frame(bob, subscribe, 1_101)), [""; 0]);
    }
    let mut silent = room.clone();
    assert_eq!(closes(&silent.tick(2_101)), [(bob, close::TOO_SLOW)], "though nothing happens in the room");
    let answer = ack(&room, bob);
    assert_eq!(kinds(&room.frame(bob, &answer, 1_102)), [""; 0], "not twice within a tick");
    let due_ms = room.flush_ms().expect("he is owed it");
    assert_eq!(heard(&room.flush(due_ms), bob), [""; 0]);
    assert_eq!(heard(&room.flush(1_200), bob), ["hello", "probe"], "of all that he has asked for, the last");
}

/// A megabyte for each of a thousand at once is more than an object has.
#[test]
fn a_thousand_who_are_told_anew_are_told_one_after_the_other_and_no_more_than_an_object_bears() {
    let settings = Settings { max_per_user: 9_999, shed_ms: 1_000, ..Settings::DEFAULT };
    let mut room = Room::restore(settings, [], 0);
    let state = format!(r#"{{"x":"{}"}}"#, "x".repeat(4_000));
    for client in 0..400 {
        let connection = join(&mut room, &format!("c{client}"), 1, 1_000);
        room.frame(connection, &update(1, &state), 1_000);
    }
    room.flush(1_000);
    room.awaits([1]);
    assert_eq!(kinds(&room.goes_on(1_100)), [""; 0]);
    let (mut now_ms, mut told) = (1_100, 0);
    while let Some(due_ms) = room.flush_ms() {
        now_ms = due_ms.max(now_ms + 1);
        let effects = room.flush(now_ms);
        assert!(effects.iter().map(Effect::bytes).sum::<usize>() < 2 * 1024 * 1024);
        told += kinds(&effects).iter().filter(|kind| **kind == "hello").count();
        assert_eq!(closes(&room.tick(now_ms)), [], "that they wait is not their fault");
    }
    assert_eq!((told, room.peers().filter(|peer| peer.behind_ms > 0).count()), (400, 0));
}

#[test]
fn of_more_than_half_a_megabyte_the_snapshot_has_the_rest() {
    let mut room = Room::restore(Settings { max_per_user: 999, ..Settings::DEFAULT }, [], 0);
    let state = format!(r#"{{"x":"{}"}}"#, "x".repeat(4_000));
    let seats: Vec<_> = (0..200).map(|client| join(&mut room, &format!("c{client}"), 1, 1_000)).collect();
    for seat in &seats {
        room.frame(*seat, &update(1, &state), 1_000);
    }
    let told = room.frame(seats[0], r#"{"kind":"subscribe","to":null}"#, 1_100);
    assert_eq!(kinds(&told), ["hello", "patch", "probe"]);
    assert!(told.iter().any(|effect| matches!(effect, Effect::Send { text, .. } if text.ends_with(r#""more":true}"#))));
    assert!(told.iter().map(Effect::bytes).sum::<usize>() < 600 * 1024);
}

/// A room that wakes for a moment again and again asks each in turn, and not all at once.
#[test]
fn after_a_hibernation_all_are_asked_at_times_of_their_own() {
    let mut room = Room::restore(Settings { max_per_user: 999, ..Settings::DEFAULT }, [], 0);
    let seats: Vec<_> = (0..150).map(|client| join(&mut room, &format!("c{client}"), 1, 1_000 + 60 * client)).collect();
    let peers: Vec<Peer> = room.peers().cloned().collect();
    let mut woken = Room::restore(Settings { max_per_user: 999, ..Settings::DEFAULT }, peers, 50_000);
    let mut times = std::collections::BTreeSet::new();
    for step in 1..=10 {
        let now_ms = 50_000 + 1_000 * step;
        woken.frame(seats[0], &update(step, "{}"), now_ms);
        let told = woken.flush(now_ms);
        times.extend(
            seats[1..].iter().filter(|seat| heard(&told, **seat).contains(&"probe")).map(|seat| (seat, now_ms)),
        );
    }
    let first = times.iter().map(|(seat, _)| seat).collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(first, 149, "everybody within a period of 10 s");
    let most = (1..=10).map(|step| times.iter().filter(|(_, at)| *at == 50_000 + 1_000 * step).count()).max();
    assert!(most < Some(40), "{most:?} at once");
}

#[test]
fn a_person_is_one_however_many_clients_he_has() {
    let mut room = Room::default();
    let [a1, a2, b] = [("a1", 1), ("a2", 1), ("b", 2)].map(|(client, user)| join(&mut room, client, user, 10));
    let at = |clock, n, place| format!(r#"{{"kind":"update","clock":{clock},"state":{{"n":{n}}},"at":["{place}"]}}"#);
    room.frame(a1, &at(1, 1, "request/r1"), 20);
    room.frame(a2, &at(1, 2, "request/r2"), 30);
    room.frame(b, &at(1, 3, "request/r1"), 30);
    room.frame(a1, "ping", 40);
    let [ada, bob] = &room.people(None, None, 9).data[..] else { unreachable!("two people") };
    let places: Vec<&str> = ada.at.iter().map(super::super::super::Place::as_str).collect();
    assert_eq!((ada.clients, ada.state.get(), places), (2, r#"{"n":2}"#, vec!["request/r1", "request/r2"]));
    assert_eq!((ada.seen_at, bob.clients), (crate::time::Timestamp::from_millis(40), 1));
    let first = room.people(None, None, 1);
    assert_eq!((first.data.len(), first.next), (1, Some(ada.user_id)));
    let second = room.people(first.next, None, 1);
    assert_eq!((second.data[0].user_id, second.next), (bob.user_id, None));
    let there = Places::parse(["request/r2"], 1).expect("places");
    assert_eq!(room.people(None, Some(&there), 9).data.len(), 1);
}

#[test]
fn who_is_told_anew_is_told_of_all_a_page_a_frame() {
    let mut room = Room::restore(Settings { max_per_user: 999, ..Settings::DEFAULT }, [], 0);
    for client in 0..250 {
        let connection = join(&mut room, &format!("c{client}"), 1, 10);
        room.frame(connection, &update(1, "{}"), 10);
    }
    let me = join(&mut room, "me", 1, 10);
    let told = room.frame(me, r#"{"kind":"subscribe","to":null}"#, 20);
    assert_eq!(kinds(&told), ["hello", "patch", "patch", "probe"]);
    let texts = told.iter().filter_map(|effect| if let Effect::Send { text, .. } = effect { Some(text) } else { None });
    assert_eq!(texts.map(|text| text.matches("user_id").count()).collect::<Vec<_>>(), [100, 100, 50, 0]);
}
