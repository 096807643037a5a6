//! Examples of shards where nobody sits. The laws of all others stand in `tests/laws/presence/shards.rs`.

use super::*;

const PEER: &str = r#"{"connection":7,"identity":{"workspace":"ws_00000000000000000000000000","client_id":"c1","user_id":"user_00000000000000000000000000","name":null,"role":"viewer","expires_at_ms":1000000,"authz_epoch":5},"clock":0,"state":null,"seen_at_ms":1000,"shard":1}"#;

#[test]
fn a_shard_where_nobody_sits_is_told_nothing() {
    let mut links = Links::new(1);
    links.open(1);
    links.take(
        &Effect::Broadcast { to: Audience::AllBut(std::collections::BTreeSet::new()), text: String::new() },
        None,
    );
    assert_eq!(links.due_ms(), None);
}

/// It would be tried again for ever, and its room never sleep.
#[test]
fn a_shard_that_does_not_answer_is_let_go_unless_it_owes_a_close() {
    let mut links = Links::new(1);
    links.open(1);
    links.failed(1, 1);
    assert!(links.is_down(1) && links.is_idle(1));
    links.away.insert(Connection(7), 1);
    links.take(&Effect::Close { connection: Connection(7), code: 1012, reason: "over".into() }, None);
    assert!(!links.is_idle(1));
}

/// A shard whose orders overflow with what one socket is told would be told it again for ever.
#[test]
fn what_one_socket_is_told_is_sent_whole_and_who_comes_after_it_waits() {
    let mut links = Links::with_most(10, 10, 1_000, 1);
    links.open(1);
    links.away.extend([(Connection(7), 1), (Connection(8), 1)]);
    for to in [7, 7, 7, 8, 8] {
        links.take(&Effect::Send { to: Connection(to), text: "eight by".to_owned() }, None);
        assert!(links.overflown().is_empty());
    }
    assert_eq!(links.skipped(), [Connection(8), Connection(8)]);
    let sent = links.ready(1);
    assert_eq!(sent.first().map(|(shard, orders)| (*shard, orders.orders.len())), Some((1, 3)));
    assert!(links.answered(1, 1, 1), "those who wait are told anew");
}

#[test]
fn what_is_for_all_of_a_shard_and_is_too_much_is_dropped() {
    let mut links = Links::with_most(10, 10, 1_000, 1);
    links.open(1);
    links.away.insert(Connection(7), 1);
    for _ in 0..2 {
        let to = Audience::AllBut(std::collections::BTreeSet::new());
        links.take(&Effect::Broadcast { to, text: "eight by".to_owned() }, None);
    }
    assert_eq!(links.overflown(), [1]);
    assert!(links.is_down(1) && links.is_idle(1));
}

/// Shards 1 and up with one socket each, whose number is ten times theirs, in a room in which so much may wait.
fn full(shards: u32, (queued, sent): (usize, usize)) -> Links {
    let mut links = Links::with_most(queued, sent, 1_000, 1);
    for shard in 1..=shards {
        links.open(shard);
        links.away.insert(Connection(u64::from(shard) * 10), shard);
    }
    links
}

fn tell(links: &mut Links, to: Audience) {
    links.take(&Effect::Broadcast { to, text: "a frame of twenty by".to_owned() }, None);
}

/// What is sent now: to which shard how many orders.
fn given(links: &mut Links) -> Vec<(u32, usize)> {
    links.ready(1).iter().map(|(shard, orders)| (*shard, orders.orders.len())).collect()
}

fn all() -> Audience {
    Audience::AllBut(std::collections::BTreeSet::new())
}

/// Nine shards would hold nine times as much as one.
#[test]
fn what_waits_for_all_shards_is_limited_and_the_one_that_holds_most_is_dropped() {
    let mut links = full(3, (120, 120));
    for to in [10, 20, 20] {
        tell(&mut links, Audience::Only(vec![Connection(to)]));
        assert!(links.overflown().is_empty());
    }
    tell(&mut links, Audience::Only(vec![Connection(30)]));
    assert_eq!(links.overflown(), [2]);
    assert!(!links.is_down(1) && links.is_down(2) && !links.is_down(3));
    assert_eq!(given(&mut links), [(1, 1), (2, 0), (3, 1)]);
}

#[test]
fn a_frame_for_several_shards_is_counted_once_and_while_one_of_them_waits_for_it() {
    let mut links = full(3, (50, 50));
    tell(&mut links, all());
    assert_eq!(links.ready(1).len(), 3);
    for _ in 0..2 {
        tell(&mut links, all());
    }
    assert!(links.overflown().is_empty(), "40 bytes, three times");
    for shard in [1, 2] {
        links.answered(shard, 1, 1);
    }
    assert_eq!(links.ready(1).len(), 2);
    tell(&mut links, all());
    assert_eq!(links.overflown(), [3], "the slow one alone");
    assert_eq!(links.queued(), 20);
    links.close(1);
    links.answered(2, 1, 1);
    assert_eq!(given(&mut links), [(2, 1)]);
    assert_eq!(links.queued(), 0);
}

/// All wait for the same frames: as long as one is kept, nothing is freed.
#[test]
fn where_all_shards_are_as_slow_all_are_dropped() {
    let mut links = full(3, (50, 50));
    for _ in 0..3 {
        tell(&mut links, all());
    }
    let mut over = links.overflown();
    over.sort_unstable();
    assert_eq!((over, links.queued()), (vec![1, 2, 3], 0));
}

/// The room goes on with one of each shard at a time, so that the renewals of a slow shard do not keep the others.
#[test]
fn what_waits_for_single_sockets_of_all_shards_is_limited_but_for_one_of_each() {
    let mut links = full(2, (100, 10));
    links.away.extend([(Connection(21), 2)]);
    for to in [10, 10, 20, 21] {
        links.take(&Effect::Send { to: Connection(to), text: "eight by".to_owned() }, None);
    }
    assert_eq!(links.skipped(), [Connection(21)]);
    assert_eq!(given(&mut links), [(1, 2), (2, 1)]);
}

#[test]
fn a_message_carries_so_much_and_the_rest_goes_with_the_next() {
    let mut links = Links::with_most(1_000, 1_000, 40, 1);
    links.open(1);
    links.away.insert(Connection(10), 1);
    for _ in 0..5 {
        tell(&mut links, all());
    }
    let marks = links.marks();
    tell(&mut links, all());
    for is_done in [false, false, true] {
        assert!(!links.is_done(&marks));
        assert_eq!(given(&mut links), [(1, 2)]);
        assert_eq!(given(&mut links), [], "one at a time");
        links.answered(1, 1, 1);
        assert_eq!(links.is_done(&marks), is_done);
    }
    assert_eq!((links.due_ms(), links.queued()), (None, 0));
}

/// Each message of what one is told would have all of what the next is told be made, to be skipped.
#[test]
fn who_is_behind_waits_until_what_another_is_told_anew_is_nearly_gone() {
    let mut links = Links::with_most(1_000, 1_000, 20, 1);
    links.open(1);
    links.away.insert(Connection(10), 1);
    links.failed(1, 1);
    assert_eq!(links.ready(1 + RETRY_MS).len(), 1);
    assert!(links.answered(1, 1, 502));
    for _ in 0..8 {
        links.take(&Effect::Send { to: Connection(10), text: "eight by".to_owned() }, None);
    }
    for (waits, goes_on) in [(40, false), (16, true)] {
        assert_eq!(given(&mut links), [(1, 3)]);
        assert_eq!((links.answered(1, 1, 502), links.sent()), (goes_on, waits));
    }
}

/// It is tried again twice a second: one line in the log for all of that.
#[test]
fn that_a_shard_does_not_answer_is_news_once_until_it_has_answered() {
    let mut links = full(2, (50, 50));
    assert!(links.failed(1, 1));
    assert!(!links.failed(1, 600));
    assert!(links.failed(2, 600), "that is another one");
    links.answered(1, 1, 1_200);
    assert!(links.failed(1, 1_300));
    links.answered(2, 1, 1_300);
    for _ in 0..3 {
        tell(&mut links, all());
    }
    assert_eq!(links.overflown(), [2]);
    assert!(links.failed(2, 1_400), "that it is slow says nothing of whether it answers");
}

/// Those it names have ended meanwhile, and nobody would forget them again.
#[test]
fn a_late_report_brings_nobody_back() {
    let peers = vec![Peer::from_attachment(PEER).expect("a peer")];
    let mut links = Links::new(1);
    let report = |number, peers| Report { shard: 1, since: 1, number, peers, ..Report::default() };
    assert!(links.hear(&report(1, peers.clone())).is_news);
    assert_eq!(links.count(), 1);
    links.take(&Effect::Forget { connection: Connection(7) }, None);
    assert!(!links.hear(&report(1, peers)).is_news);
    assert_eq!(links.count(), 0);
}
