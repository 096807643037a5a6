//! What the others are told, and when.

use super::*;

#[test]
fn the_others_learn_of_states_and_leaves() {
    let mut room = Room::default();
    let ada = join(&mut room, "ada", 1, 10);
    assert_eq!(room.flush_ms(), None);
    room.frame(ada, &update(1, r#"{"x":1}"#), 20);
    assert_eq!(room.flush_ms(), Some(33));
    assert_eq!(kinds(&room.flush(40)), ["patch"]);
    room.frame(ada, &update(1, r#"{"x":2}"#), 41);
    assert_eq!(room.flush_ms(), None);
    let (bob, effects) = room.join(identity("bob", 2), 42).expect("joined");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Send { to, text } if *to == bob && text.contains(r#""x":1"#)))
    );
    room.frame(ada, &update(2, "null"), 50);
    assert_eq!(room.flush_ms(), Some(73), "a tick after the last frames");
    assert_eq!(kinds(&room.flush(73)), ["leave"]);
    assert_eq!(room.snapshot(None, None, 100).data.len(), 0);
    assert_eq!(room.closed(ada), [Effect::Forget { connection: ada }]);
    assert_eq!(room.flush_ms(), None);
}

#[test]
fn a_tick_tells_the_last_state_of_each_in_one_frame() {
    let mut room = Room::default();
    let seats = ["a", "b", "c"].map(|client| join(&mut room, client, 1, 10));
    for clock in 1..4 {
        for seat in seats {
            room.frame(seat, &update(clock, &format!(r#"{{"at":{clock}}}"#)), 20);
        }
    }
    room.closed(seats[2]);
    let effects = room.flush(40);
    assert_eq!(kinds(&effects), ["patch", "leave"]);
    let Some(Effect::Broadcast { to: Audience::AllBut(_), text }) = effects.first() else {
        unreachable!("{effects:?}")
    };
    assert_eq!((text.matches(r#""at":3"#).count(), text.matches("client_id").count()), (2, 2));
}

/// Two who move by turns each 50 ms cost a room of a thousand ten frames a second, and nobody is told later than 100 ms.
#[test]
fn in_a_large_room_the_first_change_waits_for_others() {
    let settings = Settings { max_per_user: 1_000, ..Settings::DEFAULT };
    let mut room = Room::restore(settings, [], 0);
    let seats: Vec<_> = (0..1_000).map(|client| join(&mut room, &format!("c{client}"), 1, 1_000)).collect();
    let (mut frames, mut moved_ms) = (0, Vec::new());
    for now_ms in 10_000..11_000 {
        if now_ms % 50 == 0 {
            let clock = now_ms / 50;
            room.frame(seats[usize::from(clock % 2 == 0)], &update(clock, "{}"), now_ms);
            moved_ms.push(now_ms);
        }
        if room.flush_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            frames += kinds(&room.flush(now_ms)).iter().filter(|kind| **kind == "patch").count();
            assert!(moved_ms.drain(..).all(|at_ms| now_ms - at_ms <= 52));
        }
    }
    assert_eq!(frames, 10);
    let mut small = Room::default();
    let ada = join(&mut small, "ada", 1, 10_000);
    small.frame(ada, &update(1, "{}"), 10_000);
    assert!(small.flush_ms() <= Some(10_000), "at once");
}

#[test]
fn what_one_alone_has_caused_it_need_not_hear() {
    let mut room = Room::default();
    let ada = join(&mut room, "ada", 1, 10);
    room.frame(ada, &update(1, "{}"), 20);
    assert!(matches!(room.flush(40).first(), Some(Effect::Broadcast { to, .. }) if !to.has(ada)));
}

#[test]
fn a_fast_sender_is_coalesced_and_a_flood_is_closed() {
    let settings = Settings { frames_per_s: 10, frames_burst: 2, ..Settings::DEFAULT };
    let mut room = Room::restore(settings, [], 0);
    let ada = join(&mut room, "ada", 1, 1_000);
    for clock in 1..=4 {
        assert_eq!(closes(&room.frame(ada, &update(clock, "{}"), 1_000)), []);
    }
    let clock = |room: &Room| room.peer(ada).map(|peer| peer.clock);
    assert_eq!(clock(&room), Some(2));
    room.flush(1_050);
    assert_eq!(clock(&room), Some(2), "its bucket is still empty");
    assert!(room.flush_ms().is_some());
    assert_eq!(kinds(&room.flush(1_100)), ["patch"]);
    assert_eq!((clock(&room), room.flush_ms()), (Some(4), None));
    let flood =
        |room: &mut Room| (5..20).flat_map(|clock| room.frame(ada, &update(clock, "{}"), 1_150)).collect::<Vec<_>>();
    assert_eq!(closes(&flood(&mut room)).first(), Some(&(ada, close::TOO_FAST)));
}

#[test]
fn a_crash_within_a_tick_leaves_nobody_in_the_dark() {
    let mut room = Room::default();
    let ada = join(&mut room, "ada", 1, 1_000);
    room.frame(ada, &update(1, "{}"), 1_000);
    let peers: Vec<Peer> = room.peers().cloned().collect();
    assert_eq!(kinds(&Room::restore(Settings::DEFAULT, peers.clone(), 1_010).flush(1_050)), ["patch"]);
    assert_eq!(Room::restore(Settings::DEFAULT, peers, 11_000).flush_ms(), None);
}

/// What a socket is sent, kind by kind.
#[test]
fn who_listens_to_a_place_hears_of_those_who_are_there() {
    let mut room = Room::default();
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|client| join(&mut room, client, 1, 10));
    let at = |clock, places| format!(r#"{{"kind":"update","clock":{clock},"state":{{}},"at":{places}}}"#);
    room.frame(ada, &at(1, r#"["request/r1"]"#), 20);
    room.flush(20);
    let told = room.frame(bob, r#"{"kind":"subscribe","to":["request/r1","request/r2"]}"#, 30);
    let names_ada =
        |told: &[Effect]| told.iter().any(|one| matches!(one, Effect::Send { text, .. } if text.contains("ada")));
    assert_eq!((kinds(&told), names_ada(&told)), (vec!["hello", "probe"], true));
    let answer = ack(&room, bob);
    room.frame(bob, &answer, 60);
    let told = room.frame(bob, r#"{"kind":"subscribe","to":["request/r2"]}"#, 90);
    assert_eq!((kinds(&told), names_ada(&told)), (vec!["hello", "probe"], false));
    let mut moved = |clock, places, now_ms| {
        room.frame(ada, &at(clock, places), now_ms);
        let told = room.flush(now_ms);
        (heard(&told, bob), heard(&told, eve))
    };
    assert_eq!(moved(2, r#"["request/r1","project/p"]"#, 100), (vec![], vec!["patch"]));
    assert_eq!(moved(3, r#"["request/r2"]"#, 200), (vec!["patch"], vec!["patch"]));
    assert_eq!(moved(4, r#"["request/r2"]"#, 300), (vec!["patch"], vec!["patch"]));
    assert_eq!(moved(5, "[]", 400), (vec!["leave"], vec!["patch"]), "moving away is leaving");
    assert_eq!(moved(6, "[]", 500), (vec![], vec!["patch"]));
    let there = Places::parse(["request/r2"], 1).expect("places");
    assert_eq!(room.snapshot(None, Some(&there), 9).data.len(), 0);
}

#[test]
fn scopes_that_move_are_told_once_a_tick_and_a_users_own_to_him_alone() {
    let mut room = Room::default();
    let [ada, bob] = [join(&mut room, "ada", 1, 10), join(&mut room, "bob", 2, 10)];
    let news = |kind: &str, id: &str, epoch| ScopeNews {
        scope_type: kind.to_owned(),
        id: id.to_owned(),
        generation: 1,
        epoch,
    };
    room.notify(vec![news("project", "p", 4), news("user", &identity("x", 1).user_id.to_string(), 7)]);
    room.notify(vec![news("project", "p", 3)]);
    assert!(room.flush_ms().is_some());
    let told = room.flush(40);
    assert_eq!((heard(&told, ada), heard(&told, bob)), (vec!["notice", "notice"], vec!["notice"]));
    assert!(matches!(&told[0], Effect::Broadcast { text, .. } if text.contains(r#""epoch":4"#)), "{told:?}");
    let mut empty = Room::default();
    empty.notify(vec![news("project", "p", 4)]);
    assert_eq!(empty.flush_ms(), None);
}
