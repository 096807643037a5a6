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
    let mut links = Links::with_most(10, 10, 1);
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
    let mut links = Links::with_most(10, 10, 1);
    links.open(1);
    links.away.insert(Connection(7), 1);
    for _ in 0..2 {
        let to = Audience::AllBut(std::collections::BTreeSet::new());
        links.take(&Effect::Broadcast { to, text: "eight by".to_owned() }, None);
    }
    assert_eq!(links.overflown(), [1]);
    assert!(links.is_down(1) && links.is_idle(1));
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
