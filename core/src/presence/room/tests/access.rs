//! Who may be here, and who may not any more.

use super::*;

#[test]
fn one_user_has_so_many_seats_and_no_more() {
    let mut room = Room::restore(Settings { max_per_user: 2, ..Settings::DEFAULT }, [], 0);
    join(&mut room, "a1", 1, 10);
    join(&mut room, "a2", 1, 10);
    assert_eq!(room.join(identity("a3", 1), 10).expect_err("too many").code, Code::QuotaExceeded);
    assert!(room.join(identity("a1", 1), 10).is_ok(), "taking one's own place takes no more of them");
    assert!(room.join(identity("b", 2), 10).is_ok());
}

/// A promise that came to nothing takes no seat, neither from its own client nor, when its time is over, from others.
#[test]
fn who_has_not_arrived_in_a_shard_takes_a_seat_for_a_while_and_none_from_himself() {
    let settings = Settings { max_peers: 1, max_shards: 3, max_per_user: 2, ..Settings::default() };
    let mut room = Room::restore(settings, [], 10);
    join(&mut room, "here", 1, 10);
    room.seat_for(&identity("lost", 1), &[], 10).expect("sent to a shard");
    room.seat_for(&identity("lost", 1), &[], 11).expect("sent to another");
    let beat = |room: &mut Room, now_ms| {
        let shown = Shown { state: Some("{}".to_owned()), ..Shown::default() };
        room.beat(identity("cli", 1), 1, shown, now_ms)
    };
    assert_eq!(beat(&mut room, 12).expect_err("two already").code, Code::QuotaExceeded);
    beat(&mut room, 10_011).expect("it is over");
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
    assert_eq!(room.to_check(54_009).0, []);
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
fn a_round_goes_on_where_the_last_one_stopped() {
    let mut room = Room::default();
    let users = [1, 2, 3].map(|user| identity("x", user).user_id);
    for (client, user) in [("a", 1), ("b", 2), ("c", 3)] {
        join(&mut room, client, user, 10);
    }
    let round = |room: &mut Room, now_ms| room.to_check(now_ms).0.iter().map(|(_, user)| *user).collect::<Vec<_>>();
    assert_eq!(round(&mut room, 60_010), users);
    for (last, now_ms, then) in [(0, 120_010, [1, 2, 0]), (1, 180_010, [2, 0, 1]), (2, 240_010, [0, 1, 2])] {
        room.checked(users[last]);
        assert_eq!(round(&mut room, now_ms), then.map(|at| users[at]));
    }
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
fn a_full_room_takes_nobody_new() {
    let mut room = Room::restore(Settings { max_peers: 1, max_shards: 1, ..Settings::DEFAULT }, [], 0);
    join(&mut room, "ada", 1, 10);
    assert_eq!(room.join(identity("bob", 2), 10).expect_err("full").code, Code::Overloaded);
    assert!(room.join(identity("ada", 1), 10).is_ok());
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
