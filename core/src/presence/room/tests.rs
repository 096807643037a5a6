//! Examples of a room. Its laws stand in `tests/laws/presence.rs`.

use super::*;
use crate::role::WorkspaceRole;

fn identity(client: &str, user: u128) -> Identity {
    Identity {
        client_id: ClientId::parse(client).expect("client"),
        user_id: UserId::from_uuid(uuid::Uuid::from_u128(user)),
        name: None,
        role: WorkspaceRole::Viewer,
        expires_at_ms: 1_000_000,
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
        ["hello", "patch", "leave", "error"]
            .into_iter()
            .find(|kind| text.contains(&format!(r#""kind":"{kind}""#)))
            .unwrap_or("text")
    };
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { text, .. } | Effect::Broadcast { text, .. } => Some(kind(text)),
            Effect::Save { .. } | Effect::Close { .. } => None,
        })
        .collect()
}

#[test]
fn the_others_learn_of_states_and_leaves() {
    let mut room = Room::default();
    let ada = join(&mut room, "ada", 1, 10);
    assert_eq!(kinds(&room.frame(ada, &update(1, r#"{"x":1}"#), 20)), ["patch"]);
    assert_eq!(kinds(&room.frame(ada, &update(1, r#"{"x":2}"#), 30)), [""; 0]);
    let (bob, effects) = room.join(identity("bob", 2), 40).expect("joined");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Send { to, text } if *to == bob && text.contains(r#""x":1"#)))
    );
    assert_eq!(kinds(&room.frame(ada, &update(2, "null"), 50)), ["leave"]);
    assert_eq!(room.snapshot(None, 100).data.len(), 0);
    assert_eq!(kinds(&room.closed(ada)), [""; 0]);
}

#[test]
fn a_newer_socket_takes_the_place_and_the_state() {
    let mut room = Room::default();
    let old = join(&mut room, "ada", 1, 10);
    room.frame(old, &update(5, r#"{"x":1}"#), 20);
    let (new, effects) = room.join(identity("ada", 1), 10).expect("joined");
    assert_eq!(closes(&effects), [(old, close::REPLACED)]);
    assert_eq!(room.closed(old), []);
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
    assert_eq!(room.closed(old), []);
    assert!(room.peer(new).is_some());
}

#[test]
fn silence_and_the_end_of_the_credential_close() {
    let mut room = Room::default();
    let ada = join(&mut room, "ada", 1, 10);
    assert_eq!(room.next_tick_ms(10), Some(60_010));
    room.seen(ada, 950_000);
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
    let effects = room.narrow(identity("x", 1).user_id);
    assert_eq!(closes(&effects), [(first, close::FORBIDDEN), (second, close::FORBIDDEN)]);
    assert_eq!(room.peers().count(), 1);
    assert_eq!(closes(&room.clear()).len(), 1);
}

#[test]
fn a_bad_frame_closes_its_sender_alone() {
    let mut room = Room::default();
    join(&mut room, "good", 1, 10);
    for (text, code) in [("{", close::INVALID), ("x".repeat(5000).as_str(), close::TOO_BIG)] {
        let bad = join(&mut room, "bad", 2, 10);
        assert_eq!(closes(&room.frame(bad, text, 20)), [(bad, code)]);
    }
    assert_eq!(room.peers().count(), 1);
    assert_eq!(closes(&room.frame(Connection(99), "ping", 20)), [(Connection(99), close::RESTART)]);
}

#[test]
fn a_full_room_takes_nobody_new() {
    let mut room = Room::restore(Settings { max_peers: 1, ..Settings::default() }, []);
    join(&mut room, "ada", 1, 10);
    assert_eq!(room.join(identity("bob", 2), 10).expect_err("full").code, Code::Overloaded);
    assert!(room.join(identity("ada", 1), 10).is_ok());
}

#[test]
fn a_snapshot_comes_in_pages() {
    let mut room = Room::default();
    for client in ["a", "b", "c"] {
        let connection = join(&mut room, client, 1, 10);
        room.frame(connection, &update(1, "{}"), 10);
    }
    let first = room.snapshot(None, 2);
    let second = room.snapshot(first.next.as_ref(), 2);
    let ids: Vec<String> = first.data.iter().chain(&second.data).map(|view| view.client_id.to_string()).collect();
    assert_eq!((ids, second.next), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], None));
}
