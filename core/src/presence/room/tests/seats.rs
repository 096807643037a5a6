//! Seats: taken, kept, given up.

use super::*;

#[test]
fn a_newer_socket_takes_the_place_and_the_state() {
    let mut room = Room::default();
    let old = join(&mut room, "ada", 1, 10);
    room.frame(old, &update(5, r#"{"x":1}"#), 20);
    let (new, effects) = room.join(identity("ada", 1), 10).expect("joined");
    assert_eq!(closes(&effects), [(old, close::REPLACED)]);
    assert_eq!(room.closed(old), [Effect::Forget { connection: old }]);
    assert_eq!(room.peer(new).map(|peer| peer.clock), Some(5));
    assert_eq!(room.join(identity("ada", 2), 30).expect_err("another user").code, Code::ClientMismatch);
}

#[test]
fn a_late_end_of_an_old_socket_ends_no_new_one() {
    let mut room = Room::default();
    let old = join(&mut room, "ada", 1, 10);
    assert_eq!(closes(&room.binary(old)), [(old, close::UNSUPPORTED)]);
    let new = join(&mut room, "ada", 1, 10);
    assert_ne!(old, new);
    assert_eq!(room.closed(old), [Effect::Forget { connection: old }]);
    assert!(room.peer(new).is_some());
}

#[test]
fn silence_and_the_end_of_the_credential_close() {
    let mut room = Room::default();
    let ada = join(&mut room, "ada", 1, 10);
    assert_eq!(room.next_tick_ms(10), Some(60_010));
    room.seen(ada, 950_000);
    assert_eq!((room.tick(950_000), room.to_check(950_000).0.len()), (vec![], 1));
    assert_eq!(room.next_tick_ms(950_000), Some(1_000_000));
    assert_eq!(room.tick(999_999), []);
    assert_eq!(closes(&room.tick(1_000_000)), [(ada, close::EXPIRED)]);
    let bob = join(&mut room, "bob", 2, 10);
    assert_eq!(closes(&room.tick(90_010)), [(bob, close::SILENT)]);
    assert_eq!(room.next_tick_ms(90_010), None);
}

#[test]
fn a_bad_frame_closes_its_sender_alone() {
    let mut room = Room::default();
    join(&mut room, "good", 1, 10);
    for (text, code) in [("{", close::INVALID), ("x".repeat(6000).as_str(), close::TOO_BIG)] {
        let bad = join(&mut room, "bad", 2, 10);
        assert_eq!(closes(&room.frame(bad, text, 20)), [(bad, code)]);
    }
    assert_eq!(room.peers().count(), 1);
    assert_eq!(closes(&room.frame(Connection(99), "ping", 20)), [(Connection(99), close::RESTART)]);
}

#[test]
fn heartbeats_keep_a_seat_and_a_null_state_gives_it_up() {
    let mut room = Room::default();
    let beat = |room: &mut Room, clock, state: Option<&str>, now| {
        let shown = Shown { state: state.map(str::to_owned), ..Shown::default() };
        room.beat(identity("cli", 1), clock, shown, now).expect("admitted")
    };
    beat(&mut room, 1, Some("{}"), 10);
    assert_eq!((room.snapshot(None, None, 9).data.len(), room.next_tick_ms(10)), (1, Some(30_010)));
    beat(&mut room, 1, Some("{}"), 20_000);
    assert_eq!((closes(&room.tick(30_010)).len(), room.next_tick_ms(30_010)), (0, Some(50_000)));
    let peers: Vec<Peer> = room.peers().filter_map(|peer| Peer::from_attachment(&peer.to_attachment())).collect();
    let mut woken = Room::restore(Settings::DEFAULT, peers, 40_000);
    assert_eq!(closes(&woken.tick(50_000)).len(), 1);
    assert!(matches!(beat(&mut room, 2, None, 30_020)[..], [Effect::Save { .. }, Effect::Forget { .. }]));
    assert_eq!(room.next_tick_ms(30_020), None);
}

#[test]
fn a_room_that_is_drained_sends_everybody_away_at_another_time_and_keeps_their_seats() {
    let mut room = Room::default();
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|client| join(&mut room, client, 1, 10));
    room.frame(ada, &update(3, r#"{"x":1}"#), 20);
    room.frame(bob, &update(1, "{}"), 20);
    room.flush(40);
    let effects = room.drain(0, 50);
    assert_eq!(closes(&effects), [(ada, close::RESTART), (bob, close::RESTART), (eve, close::RESTART)]);
    let said = |effect: &Effect| if let Effect::Send { text, .. } = effect { Some(text.clone()) } else { None };
    let times: Vec<String> = effects.iter().filter_map(said).collect();
    assert!(
        times.iter().zip([0, 3_333, 6_666]).all(|(text, ms)| text.ends_with(&format!(r#""retry_after_ms":{ms}}}"#)))
    );
    for socket in [ada, bob, eve] {
        assert_eq!(room.closed(socket), [Effect::Forget { connection: socket }], "its end ends no seat");
    }
    assert_eq!((room.flush_ms(), room.snapshot(None, None, 9).data.len()), (None, 2), "nobody was seen to leave");
    let peers: Vec<Peer> = room.peers().filter_map(|peer| Peer::from_attachment(&peer.to_attachment())).collect();
    let mut new = Room::restore(Settings::DEFAULT, peers, 6_000);
    let back = join(&mut new, "ada", 1, 6_010);
    assert_eq!(new.peer(back).map(|peer| (peer.clock, peer.beats)), Some((3, false)));
    assert_eq!(closes(&new.tick(30_050)).len(), 1, "who does not come back leaves");
}

#[test]
fn who_is_sent_away_for_a_deploy_comes_back_after_it_and_before_his_seat_ends() {
    for (after_ms, first_ms, last_ms) in [(5_000, 5_000, 10_000), (60_000, 15_000, 20_000)] {
        let mut room = Room::default();
        let sockets = ["ada", "bob"].map(|client| join(&mut room, client, 1, 10));
        for socket in sockets {
            room.frame(socket, &update(1, "{}"), 20);
        }
        let effects = room.drain(after_ms, 50);
        for (socket, ms) in sockets.into_iter().zip([first_ms, last_ms]) {
            let text = format!(r#""retry_after_ms":{ms}}}"#);
            let told = |effect: &Effect| matches!(effect, Effect::Send { to, text: told } if *to == socket && told.ends_with(&text));
            assert!(effects.iter().any(told), "{ms}");
        }
    }
}

#[test]
fn a_stream_hears_and_ends_with_its_credential_or_its_access() {
    let mut room = Room::default();
    let ada = join(&mut room, "ada", 1, 10);
    room.frame(ada, &update(1, "{}"), 20);
    room.flush(40);
    let (stream, told) = room.listen(identity("s1", 2), None, 50).expect("admitted");
    assert_eq!(kinds(&told), ["hello"]);
    room.frame(ada, &update(2, "{}"), 100_000);
    assert_eq!(heard(&room.flush(100_000), stream), ["patch"], "it is never asked whether it reads");
    assert_eq!(closes(&room.tick(500_000)), [(ada, close::SILENT)], "and gives no sign of life");
    assert_eq!(room.to_check(500_000).0.len(), 1);
    assert_eq!(closes(&room.narrow(identity("x", 2).user_id, 6)), [(stream, close::FORBIDDEN)]);
    let (stream, _) = room.listen(Identity { authz_epoch: 6, ..identity("s2", 2) }, None, 500_010).expect("admitted");
    assert_eq!(closes(&room.tick(1_000_000)), [(stream, close::EXPIRED)]);
}

#[test]
fn rooms_of_one_socket_that_are_drained_together_come_back_at_times_of_their_own() {
    let delays = (0..20_u128).map(|room| {
        let mut drained = Room::default();
        let workspace = WorkspaceId::from_uuid(uuid::Uuid::from_u128(room * 0x9e37_79b9_7f4a_7c15));
        drained.join(Identity { workspace, ..identity("ada", 1) }, 1_000).expect("joined");
        let told = drained.drain(2_000, 1_000);
        let text =
            told.iter().find_map(|effect| if let Effect::Send { text, .. } = effect { Some(text) } else { None });
        let frame: serde_json::Value = serde_json::from_str(text.expect("an error")).expect("JSON");
        frame["retry_after_ms"].as_u64().expect("a delay")
    });
    let delays: std::collections::BTreeSet<u64> = delays.collect();
    assert!(delays.len() == 20 && delays.iter().all(|delay| (2_000..12_000).contains(delay)), "{delays:?}");
}

/// Pings are a little apart, and the end of the oldest lies just before the look around.
#[test]
fn a_look_around_that_is_almost_due_is_taken_with_what_woke_the_room() {
    let mut room = Room::default();
    join(&mut room, "ada", 1, 1_000);
    assert_eq!(room.to_check(54_000).0.len(), 0);
    assert_eq!(room.to_check(55_500).0.len(), 1);
    assert_eq!(room.next_tick_ms(55_500), Some(91_000), "the silence");
}
