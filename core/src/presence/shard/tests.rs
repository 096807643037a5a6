//! What rooms and shards say to each other, and examples of a shard. Its laws stand in `tests/laws/presence/shards.rs`.

use super::super::{Room, Seating, ServerFrame};
use super::*;
use crate::id::{UserId, WorkspaceId};
use crate::role::WorkspaceRole;
use crate::sync::ClientId;

fn identity(client: &str) -> Identity {
    Identity {
        workspace: WorkspaceId::from_uuid(uuid::Uuid::nil()),
        client_id: ClientId::parse(client).expect("client"),
        user_id: UserId::from_uuid(uuid::Uuid::nil()),
        name: None,
        role: WorkspaceRole::Viewer,
        expires_at_ms: 1_000_000,
        authz_epoch: 5,
        api_key: None,
    }
}

fn opened(settings: Settings) -> Shard {
    let mut shard = Shard::restore(settings, [], 1_000);
    assert!(shard.open(identity("c1"), 2, Connection(7), 1_000));
    shard
}

/// Room and shard may be of two versions for a while.
#[test]
fn reports_and_orders_are_fixed() {
    let peer = r#"{"connection":7,"identity":{"workspace":"ws_00000000000000000000000000","client_id":"c1","user_id":"user_00000000000000000000000000","name":null,"role":"viewer","expires_at_ms":1000000,"authz_epoch":5},"clock":0,"state":null,"seen_at_ms":1000,"shard":2}"#;
    let (report, _) = opened(Settings::DEFAULT).report(1_000);
    let text = format!(
        r#"{{"shard":2,"since":1000,"number":1,"peers":[{}],"asks":[],"acks":{{}},"ended":[]}}"#,
        serde_json::json!(peer)
    );
    assert_eq!(serde_json::to_string(&report.expect("a report")).expect("json"), text);
    let ended: Report = serde_json::from_str(
        r#"{"shard":2,"since":1000,"number":1,"peers":[],"ended":[[7,{"client_id":"c1","clock":3}]]}"#,
    )
    .expect("a report");
    assert_eq!(ended.ended.first().map(|(connection, gone)| (connection.0, gone.clock)), Some((7, 3)));
    let orders = r#"{"since":1,"number":2,"orders":[{"send":{"to":7,"text":"a"}},{"broadcast":{"to":{"all_but":[7]},"text":"b"}},{"broadcast":{"to":{"only":[7]},"text":"c"}},{"keep":{"peer":"e"}},{"close":{"connection":7,"code":1012,"reason":"d"}}]}"#;
    let read: Orders = serde_json::from_str(orders).expect("orders");
    assert_eq!(serde_json::to_string(&read).expect("json"), orders);
}

#[test]
fn what_was_not_heard_is_said_again_and_the_newest_of_it() {
    let mut shard = opened(Settings::DEFAULT);
    let (first, _) = shard.report(1_000);
    assert_eq!(shard.report_ms(), None, "one report at a time");
    shard.frame(Connection(7), r#"{"kind":"update","clock":3,"state":{}}"#, 1_001);
    assert!(shard.failed(first.expect("a report"), 1_002), "that is news");
    assert_eq!(shard.report_ms(), Some(1_000 + 2 + RETRY_MS + 33), "not at once");
    let (again, _) = shard.report(2_000);
    let again = again.expect("a report");
    assert_eq!((again.number, again.peers.first().map(|peer| peer.clock)), (2, Some(3)));
    assert!(!shard.failed(again, 2_002), "and now no more");
    let (heard, _) = shard.report(3_000);
    shard.answered(heard.expect("a report"), 0, 3_000);
    assert!(shard.failed(Report::default(), 4_000), "until it was heard");
}

/// Who reports what is due until nothing is would never end.
#[test]
fn a_state_that_waits_is_not_due_at_once_without_a_tick_either() {
    let settings = Settings { tick_ms: 0, frames_per_s: 1, frames_burst: 1, ..Settings::DEFAULT };
    let mut shard = opened(settings);
    shard.frame(Connection(7), r#"{"kind":"update","clock":1,"state":{}}"#, 1_000);
    shard.frame(Connection(7), r#"{"kind":"update","clock":2,"state":{}}"#, 1_000);
    let (report, _) = shard.report(1_000);
    shard.answered(report.expect("a report"), 0, 1_000);
    assert_eq!(shard.report(1_001), (None, Vec::new()), "it waits");
    assert!(shard.report_ms().is_some_and(|due_ms| due_ms > 1_001));
}

#[test]
fn a_shard_whose_clock_is_behind_is_heard_all_the_same() {
    let mut shard = opened(Settings::DEFAULT);
    let (report, _) = shard.report(1_000);
    shard.answered(report.expect("a report"), 5_000, 1_001);
    let (again, _) = shard.report(3_000);
    assert_eq!(again.expect("a report").since, 5_001);
}

#[test]
fn a_flood_and_garbage_close_their_sender_and_are_reported() {
    let settings = Settings { frames_per_s: 1, frames_burst: 1, ..Settings::DEFAULT };
    for text in ["{", r#"{"kind":"update","clock":1,"state":{}}"#] {
        let mut shard = opened(settings);
        let mut effects = Vec::new();
        for _ in 0..3 {
            effects.extend(shard.frame(Connection(7), text, 1_000));
        }
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Close { connection: Connection(7), .. })));
        let (report, _) = shard.report(1_000);
        assert!(report.expect("a report").ended.iter().any(|(connection, _)| *connection == Connection(7)));
        assert!(shard.peer(Connection(7)).is_none());
    }
}

#[test]
fn late_orders_are_not_carried_out() {
    let mut shard = opened(Settings::DEFAULT);
    let orders =
        |since, number| Orders { since, number, orders: vec![Order::Send { to: Connection(7), text: String::new() }] };
    assert_eq!(shard.obey(orders(10, 2)).len(), 1);
    assert_eq!(shard.obey(orders(10, 1)), []);
    assert_eq!(shard.obey(orders(9, 3)), []);
    assert_eq!(shard.obey(orders(11, 1)).len(), 1);
    assert_eq!(shard.obeyed(), 11);
}

/// A client of two sockets gives a clock to one state on the first and to another on the second, before that has heard what
/// the first one showed.
#[test]
fn of_two_states_of_one_clock_all_objects_keep_the_one_that_was_told() {
    let mut room = Room::restore(Settings { max_peers: 1, ..Settings::DEFAULT }, [], 1_000);
    room.join(identity("c0"), 1_000).expect("joined");
    let mut shard = Shard::restore(Settings::DEFAULT, [], 1_000);
    let reported = |room: &mut Room, shard: &mut Shard| room.hear(shard.report(1_000).0.expect("a report"), 1_000);
    let first = sent(&mut room, &mut shard);
    shard.frame(first, r#"{"kind":"update","clock":12,"state":{"by":"first"}}"#, 1_000);
    reported(&mut room, &mut shard);
    let second = sent(&mut room, &mut shard);
    reported(&mut room, &mut shard);
    let keep = Order::Keep { peer: room.peer(second).expect("here").to_attachment() };
    shard.frame(second, r#"{"kind":"update","clock":12,"state":{"by":"second"}}"#, 1_000);
    assert_eq!(reported(&mut room, &mut shard), [Effect::Save { of: second }], "the shard is told what is known");
    shard.obey(Orders { since: 1_000, number: 1, orders: vec![keep] });
    let kept = shard.peer(second).expect("here");
    assert_eq!(kept.state.as_deref(), Some(r#"{"by":"first"}"#));
    assert!(room.peer(second).is_some_and(|known| known.shows_as(kept)));
    assert_eq!(reported(&mut room, &mut shard), [], "what was taken over is reported, and is known");
}

/// A room with one who sits there and one in a shard, of whom it has heard; who is sent frames is asked after 100 ms.
fn here_and_away() -> (Room, Shard, Connection, Connection) {
    let settings = Settings { max_peers: 1, probe_ms: 100, ..Settings::DEFAULT };
    let mut room = Room::restore(settings, [], 1_000);
    let (here, _) = room.join(identity("c0"), 1_000).expect("joined");
    let mut shard = Shard::restore(settings, [], 1_000);
    let away = sent(&mut room, &mut shard);
    room.hear(shard.report(1_000).0.expect("a report"), 1_000);
    (room, shard, here, away)
}

/// Shards are asked who sits there with each alarm, which comes more often than a question in a large room.
#[test]
fn who_is_named_by_his_shard_is_asked_all_the_same_whether_he_reads() {
    let (mut room, _, here, away) = here_and_away();
    let named = |room: &mut Room, now_ms| {
        let rolled = Report { shard: 1, peers: room.peer(away).cloned().into_iter().collect(), ..Report::default() };
        let asked = room.asks(1);
        room.roll(1, rolled, &asked, now_ms)
    };
    let is_asked = |room: &mut Room, now_ms| {
        room.frame(here, &format!(r#"{{"kind":"update","clock":{now_ms},"state":{{}}}}"#), now_ms);
        room.flush(now_ms)
            .iter()
            .any(|effect| matches!(effect, Effect::Broadcast { to, text } if to.has(away) && text.contains("probe")))
    };
    assert_eq!(named(&mut room, 1_060), []);
    assert!(is_asked(&mut room, 1_100));
    let question = ServerFrame::Probe { n: room.peer(away).expect("known").asked }.to_text();
    for now_ms in [1_160, 1_170, 1_180, 1_205] {
        let again = Effect::Send { to: away, text: question.clone() };
        assert_eq!(named(&mut room, now_ms), [again], "his answer may be lost");
        assert!(!is_asked(&mut room, now_ms));
        assert!(room.peer(away).is_some_and(|peer| peer.behind_ms == 0), "and there is time for another");
    }
    assert!(!is_asked(&mut room, 1_210));
    assert!(room.peer(away).is_some_and(|peer| peer.behind_ms == 1_210), "he does not read");
}

/// What was reported, and whether it was heard, a room that has just woken cannot know; nor how long ago that was.
#[test]
fn a_room_that_wakes_tells_what_its_shards_have_not_been_heard_with() {
    let (_, mut shard, _, away) = here_and_away();
    shard.answered(Report::default(), 0, 1_000);
    let told_by_a_new_room = |shard: &mut Shard| {
        let mut room = Room::restore(Settings { max_peers: 1, ..Settings::DEFAULT }, [], 60_000);
        room.awaits([1]);
        let (asked, peers) = (room.asks(1), shard.roll(None));
        room.roll(1, Report { shard: 1, peers, ..shard.unsaid() }, &asked, 60_000);
        room.flush(60_000)
            .iter()
            .any(|effect| matches!(effect, Effect::Broadcast { text, .. } if text.contains("patch")))
    };
    assert!(!told_by_a_new_room(&mut shard), "nothing was said");
    shard.frame(away, r#"{"kind":"update","clock":1,"state":{}}"#, 1_000);
    assert!(told_by_a_new_room(&mut shard), "before the report");
    let (report, _) = shard.report(2_000);
    assert!(told_by_a_new_room(&mut shard), "while the report is under way");
    shard.failed(report.clone().expect("a report"), 3_000);
    assert!(told_by_a_new_room(&mut shard), "when it was not heard");
    let (report, _) = shard.report(4_000);
    shard.answered(report.expect("a report"), 0, 4_000);
    assert!(!told_by_a_new_room(&mut shard), "when it was");
}

/// It is everything there is, to each that changes what he hears of.
#[test]
fn who_hears_of_other_places_is_told_of_them_once() {
    let mut room = Room::restore(Settings { max_peers: 1, ..Settings::DEFAULT }, [], 1_000);
    room.join(identity("c0"), 1_000).expect("joined");
    let mut shard = Shard::restore(Settings::DEFAULT, [], 1_000);
    let away = sent(&mut room, &mut shard);
    let mut now_ms = 1_000;
    let mut hellos = |room: &mut Room, shard: &mut Shard| {
        now_ms += 1_000;
        let mut effects = room.hear(shard.report(now_ms).0.expect("a report"), now_ms);
        effects.extend(room.flush(now_ms));
        effects.iter().filter(|effect| matches!(effect, Effect::Send { text, .. } if text.contains("hello"))).count()
    };
    shard.frame(away, r#"{"kind":"subscribe","to":["request/r1"]}"#, 1_000);
    assert_eq!(hellos(&mut room, &mut shard), 1, "who comes in with places");
    for to in [r#"["request/r2"]"#, r#"["request/r2"]"#, "null"] {
        shard.answered(Report::default(), 0, 1_000);
        if let Some(asked) = room.peer(away).map(|peer| peer.asked).filter(|asked| *asked > 0) {
            shard.frame(away, &format!(r#"{{"kind":"ack","n":{asked}}}"#), 1_000);
        }
        shard.frame(away, &format!(r#"{{"kind":"subscribe","to":{to}}}"#), 1_000);
        assert_eq!(hellos(&mut room, &mut shard), 1, "{to}");
    }
}

/// Else those there who only send pings would be here for ever, as far as their room knows.
#[test]
fn a_room_that_has_not_heard_of_a_shard_looks_around_until_it_has() {
    let mut room = Room::restore(Settings::DEFAULT, [], 1_000);
    room.awaits([1]);
    room.goes_on(1_000);
    assert_eq!((room.next_tick_ms(1_000), room.is_unheard(1)), (Some(61_000), true));
    let asked = room.asks(1);
    room.roll(1, Report { shard: 1, ..Report::default() }, &asked, 1_000);
    assert_eq!((room.next_tick_ms(1_000), room.is_unheard(1)), (None, false));
}

/// A roll has many pages: he may say so after his has been made.
#[test]
fn what_somebody_says_while_his_shard_is_asked_holds() {
    let mut room = Room::restore(Settings { max_peers: 1, ..Settings::DEFAULT }, [], 1_000);
    room.join(identity("c0"), 1_000).expect("joined");
    let mut shard = Shard::restore(Settings::DEFAULT, [], 1_000);
    let away = sent(&mut room, &mut shard);
    let reported = |room: &mut Room, shard: &mut Shard| room.hear(shard.report(1_000).0.expect("a report"), 1_000);
    reported(&mut room, &mut shard);
    shard.answered(Report::default(), 0, 1_000);
    let asked = room.asks(1);
    let rolled = Report { shard: 1, peers: shard.roll(None), ..Report::default() };
    shard.frame(away, r#"{"kind":"subscribe","to":["request/r1"]}"#, 1_000);
    reported(&mut room, &mut shard);
    let is_question = |effect: &Effect| matches!(effect, Effect::Send { text, .. } if text.contains("probe"));
    assert!(room.roll(1, rolled, &asked, 1_000).iter().all(is_question));
    let (there, known) = (shard.peer(away).expect("there"), room.peer(away).expect("known"));
    assert!(there.hears.is_some() && there.hears == known.hears);
}

/// Others there are told anew meanwhile: he would be sent as much each time, for his object to keep.
#[test]
fn who_does_not_read_is_told_nothing_anew_until_he_has_read() {
    let (mut room, mut shard, here, away) = here_and_away();
    for now_ms in [1_100, 1_200] {
        room.frame(here, &format!(r#"{{"kind":"update","clock":{now_ms},"state":{{}}}}"#), now_ms);
        room.flush(now_ms);
    }
    assert!(room.peer(away).is_some_and(|peer| peer.behind_ms == 1_200));
    assert_eq!(room.catch_up(1, 1_000, 1_300), []);
    shard.answered(Report::default(), 0, 1_300);
    let asked = room.peer(away).expect("known").asked;
    shard.frame(away, &format!(r#"{{"kind":"ack","n":{asked}}}"#), 1_300);
    assert!(room.hear(shard.report(1_400).0.expect("a report"), 1_400).iter().any(|effect| effect.is_to(away)));
    room.lag(1, 1_500);
    assert!(room.catch_up(1, 1_000, 1_600).iter().any(|effect| effect.is_to(away)), "his shard was silent, not he");
}

/// The question waits at his shard with what is too much, and gets lost with it: he would be shed for an answer that he
/// cannot give.
#[test]
fn who_was_asked_and_is_behind_for_what_waits_there_is_told_anew_without_an_answer() {
    let (mut room, _, here, away) = here_and_away();
    room.frame(here, r#"{"kind":"update","clock":1,"state":{}}"#, 1_100);
    let is_asked =
        |effect: &Effect| matches!(effect, Effect::Broadcast { to, text } if to.has(away) && text.contains("probe"));
    assert!(room.flush(1_100).iter().any(is_asked));
    room.postpone(away, 1_110);
    room.lag(1, 1_120);
    assert!(room.catch_up(1, 1_000, 1_200).iter().any(|effect| effect.is_to(away)));
}

/// The call that carries the question fails only after he was given up for his silence: without this he is told nothing
/// until his object is asked who sits there.
#[test]
fn who_was_given_up_before_his_question_got_lost_is_told_anew() {
    let (mut room, _, here, away) = here_and_away();
    for now_ms in [1_100, 1_200] {
        room.frame(here, &format!(r#"{{"kind":"update","clock":{now_ms},"state":{{}}}}"#), now_ms);
        room.flush(now_ms);
    }
    assert_eq!(room.catch_up(1, 1_000, 1_250), [], "he owes an answer");
    room.lag(1, 1_300);
    assert!(room.peer(away).is_some_and(|peer| peer.behind_ms == 1_200), "he is closed no later for it");
    assert!(room.catch_up(1, 1_000, 1_400).iter().any(|effect| effect.is_to(away)));
}

/// Many credentials end at many times, and each asking is hundreds of pages in a large room.
#[test]
fn shards_are_asked_who_sits_there_once_in_a_period_and_before_a_silence_ends_somebody() {
    let settings = Settings { max_peers: 1, alarm_ms: 600_000, ..Settings::DEFAULT };
    let mut room = Room::restore(settings, [], 1_000);
    room.join(Identity { expires_at_ms: 50_000, ..identity("c0") }, 1_000).expect("joined");
    let mut shard = Shard::restore(settings, [], 1_000);
    sent(&mut room, &mut shard);
    room.hear(shard.report(1_000).0.expect("a report"), 1_000);
    assert_eq!(room.next_tick_ms(1_000), Some(50_000));
    assert!(!room.is_to_roll(50_000), "the end of a credential is known");
    room.tick(50_000);
    assert!(room.is_to_roll(91_000), "he may have sent pings");
    room.seen(shard.roll(None).first().expect("there").connection, 590_000);
    assert!(!room.is_to_roll(540_999));
    assert!(room.is_to_roll(541_000), "a period is about over");
}

/// A seat in the shard.
fn sent(room: &mut Room, shard: &mut Shard) -> Connection {
    let seating = room.seat_for(&identity("c1"), &[], 1_000).expect("a seat");
    let at = if let Seating::Shard { shard, connection } = seating { Some((shard, connection)) } else { None };
    let (number, connection) = at.expect("the room's own object is full");
    assert!(shard.open(identity("c1"), number, connection, 1_000));
    connection
}
