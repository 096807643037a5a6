//! Examples of shards where nobody sits. The laws of all others stand in `tests/laws/presence/shards.rs`.

use super::*;

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
