//! Examples of a room. Its laws stand in `tests/laws/presence.rs`.

use super::super::{Audience, ScopeNews};
use super::*;
use crate::refusal::Code;
use crate::role::WorkspaceRole;

fn identity(client: &str, user: u128) -> Identity {
    Identity {
        workspace: WorkspaceId::from_uuid(uuid::Uuid::nil()),
        client_id: ClientId::parse(client).expect("client"),
        user_id: UserId::from_uuid(uuid::Uuid::from_u128(user)),
        name: None,
        role: WorkspaceRole::Viewer,
        expires_at_ms: 1_000_000,
        authz_epoch: 5,
        api_key: None,
    }
}

fn join(room: &mut Room, client: &str, user: u128, now_ms: u64) -> Connection {
    room.join(identity(client, user), now_ms).expect("joined").0
}

fn update(clock: u64, state: &str) -> String {
    format!(r#"{{"kind":"update","clock":{clock},"state":{state}}}"#)
}

fn closes(effects: &[Effect]) -> Vec<(Connection, u16)> {
    effects
        .iter()
        .filter_map(
            |effect| {
                if let Effect::Close { connection, code, .. } = effect { Some((*connection, *code)) } else { None }
            },
        )
        .collect()
}

fn kinds(effects: &[Effect]) -> Vec<&'static str> {
    let kind = |text: &str| {
        ["hello", "patch", "leave", "notice", "probe", "error"]
            .into_iter()
            .find(|kind| text.contains(&format!(r#""kind":"{kind}""#)))
            .unwrap_or("text")
    };
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { text, .. } | Effect::Broadcast { text, .. } => Some(kind(text)),
            Effect::Save { .. } | Effect::Close { .. } | Effect::Forget { .. } => None,
        })
        .collect()
}

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
    assert_eq!(kinds(&Room::restore(Settings::DEFAULT, peers.clone(), 1_010).flush(1_050)), ["patch", "probe"]);
    assert_eq!(Room::restore(Settings::DEFAULT, peers, 11_000).flush_ms(), None);
}

#[test]
fn one_user_has_so_many_seats_and_no_more() {
    let mut room = Room::restore(Settings { max_per_user: 2, ..Settings::DEFAULT }, [], 0);
    join(&mut room, "a1", 1, 10);
    join(&mut room, "a2", 1, 10);
    assert_eq!(room.join(identity("a3", 1), 10).expect_err("too many").code, Code::QuotaExceeded);
    assert!(room.join(identity("a1", 1), 10).is_ok(), "taking one's own place takes no more of them");
    assert!(room.join(identity("b", 2), 10).is_ok());
}

#[test]
fn an_admission_from_before_a_narrowing_is_refused() {
    let mut room = Room::default();
    room.narrow(identity("x", 1).user_id, 6);
    assert_eq!(room.join(identity("a", 1), 10).expect_err("older").code, Code::GateUnavailable);
    assert!(room.join(Identity { authz_epoch: 6, ..identity("a", 1) }, 10).is_ok());
    assert!(room.join(identity("b", 2), 10).is_ok(), "it is about one user");
}

#[test]
fn a_narrowing_without_an_epoch_has_the_next_join_checked_at_once() {
    let mut room = Room::default();
    join(&mut room, "b", 2, 10);
    assert_eq!((room.to_check(10).0, room.next_tick_ms(10)), (vec![], Some(60_010)));
    room.narrow(identity("x", 1).user_id, 0);
    join(&mut room, "a", 1, 20);
    assert_eq!(room.next_tick_ms(20), Some(20));
    assert_eq!(room.to_check(20).0.len(), 2);
}

#[test]
fn everybody_is_asked_after_once_per_period_and_by_user() {
    let mut room = Room::default();
    let first = join(&mut room, "a1", 1, 10);
    let second = join(&mut room, "a2", 1, 10);
    join(&mut room, "b", 2, 10);
    assert_eq!(room.to_check(60_009).0, []);
    let (users, up_to) = room.to_check(60_010);
    assert_eq!((users.len(), room.to_check(60_010).0.len()), (2, 0));
    let later = room.join(identity("a3", 1), 60_011).expect("joined").0;
    assert_eq!(
        closes(&room.revoke(identity("x", 1).user_id, up_to)),
        [(first, close::FORBIDDEN), (second, close::FORBIDDEN)]
    );
    assert!(room.peer(later).is_some(), "who came after the question has an admission of his own");
    let peers: Vec<Peer> = room.peers().cloned().collect();
    assert_eq!(Room::restore(Settings::DEFAULT, peers, 60_020).to_check(60_020).0.len(), 2, "after a hibernation too");
}

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
fn a_narrowing_closes_every_socket_of_its_user() {
    let mut room = Room::default();
    let (first, second) = (join(&mut room, "a1", 1, 10), join(&mut room, "a2", 1, 10));
    join(&mut room, "b", 2, 10);
    let effects = room.narrow(identity("x", 1).user_id, 6);
    assert_eq!(closes(&effects), [(first, close::FORBIDDEN), (second, close::FORBIDDEN)]);
    assert_eq!(room.peers().count(), 1);
    assert_eq!(closes(&room.clear()).len(), 1);
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
fn a_full_room_takes_nobody_new() {
    let mut room = Room::restore(Settings { max_peers: 1, ..Settings::DEFAULT }, [], 0);
    join(&mut room, "ada", 1, 10);
    assert_eq!(room.join(identity("bob", 2), 10).expect_err("full").code, Code::Overloaded);
    assert!(room.join(identity("ada", 1), 10).is_ok());
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

/// What a socket is sent, kind by kind.
fn heard(effects: &[Effect], by: Connection) -> Vec<&'static str> {
    let to_him = |effect: &&Effect| match effect {
        Effect::Send { to, .. } => *to == by,
        Effect::Broadcast { to, .. } => to.has(by),
        Effect::Save { .. } | Effect::Close { .. } | Effect::Forget { .. } => false,
    };
    effects.iter().filter(to_him).flat_map(|effect| kinds(std::slice::from_ref(effect))).collect()
}

#[test]
fn who_listens_to_a_place_hears_of_those_who_are_there() {
    let mut room = Room::default();
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|client| join(&mut room, client, 1, 10));
    let at = |clock, places| format!(r#"{{"kind":"update","clock":{clock},"state":{{}},"at":{places}}}"#);
    room.frame(ada, &at(1, r#"["request/r1"]"#), 20);
    room.flush(20);
    let told = room.frame(bob, r#"{"kind":"subscribe","to":["request/r1","request/r2"]}"#, 30);
    assert!(matches!(&told[..], [Effect::Save { .. }, Effect::Send { text, .. }] if text.contains("ada")));
    let told = room.frame(bob, r#"{"kind":"subscribe","to":["request/r2"]}"#, 30);
    assert!(matches!(&told[..], [Effect::Save { .. }, Effect::Send { text, .. }] if !text.contains("ada")));
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
fn a_room_that_is_drained_sends_everybody_away_at_another_time_and_keeps_their_seats() {
    let mut room = Room::default();
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|client| join(&mut room, client, 1, 10));
    room.frame(ada, &update(3, r#"{"x":1}"#), 20);
    room.frame(bob, &update(1, "{}"), 20);
    room.flush(40);
    let effects = room.drain(50);
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
fn a_key_is_to_be_shown_again_when_access_has_changed() {
    let mut room = Room::default();
    let by_key = Identity { api_key: Some(crate::id::ApiKeyId::from_uuid(uuid::Uuid::nil())), ..identity("k", 1) };
    let (key, _) = room.join(by_key, 10).expect("joined");
    let person = join(&mut room, "p", 1, 10);
    let user = identity("x", 1).user_id;
    assert_eq!(room.recheck_keys(user, 5, person), []);
    assert_eq!(closes(&room.recheck_keys(user, 6, person)), [(key, close::RESTART)]);
    assert!(room.peer(person).is_some());
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
    let places: Vec<&str> = ada.at.iter().map(super::super::Place::as_str).collect();
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
