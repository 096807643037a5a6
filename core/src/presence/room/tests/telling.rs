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
    assert_eq!(room.frame(bob, r#"{"kind":"ack"}"#, 1_110), []);
    assert_eq!(move_at(&mut room, 1_150), ["patch"]);
    assert_eq!(move_at(&mut room, 1_250), ["patch", "probe"], "asked again a period after his answer");
    room.frame(ada, r#"{"kind":"ack"}"#, 1_260);
    assert_eq!(move_at(&mut room, 1_350), ["patch"], "the frame that finds him out still goes to him");
    assert_eq!(move_at(&mut room, 1_450), [""; 0]);
    let peers: Vec<Peer> = room.peers().filter_map(|peer| Peer::from_attachment(&peer.to_attachment())).collect();
    let mut woken = Room::restore(settings, peers, 1_460);
    for room in [&mut room, &mut woken] {
        let mut late = room.clone();
        assert_eq!(closes(&late.tick(2_349)), []);
        assert_eq!(closes(&late.tick(2_350)), [(bob, close::TOO_SLOW)]);
        let told = room.frame(bob, r#"{"kind":"ack"}"#, 1_500);
        assert!(matches!(&told[..], [Effect::Save { .. }, Effect::Send { text, .. }] if text.contains(r#"{"at":6}"#)));
        room.tick(2_350);
        assert!(room.peer(bob).is_some());
    }
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
    assert_eq!(kinds(&told), ["hello", "patch", "patch"]);
    let texts = told.iter().filter_map(|effect| if let Effect::Send { text, .. } = effect { Some(text) } else { None });
    assert_eq!(texts.map(|text| text.matches("user_id").count()).collect::<Vec<_>>(), [100, 100, 50]);
}
