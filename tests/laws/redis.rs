//! What Redis answers, read, is what a gate would have said: by a table of charges whose answers are the script's own
//! (`tests/stand-ins/redis-charges.test.ts` holds the script to them).

use drey_core::limit::redis::{Charged, Due, NamedBucket, read};
use drey_core::limit::{Bucket, Wish, charge_up_to, would_refuse};
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    buckets: Vec<NamedBucket>,
    charges: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    after_ms: u64,
    cost: u32,
    wanted: u32,
    held: u32,
    reply: Vec<u64>,
}

#[test]
fn the_answers_of_redis_are_those_of_a_gate() {
    let tables: Vec<Table> = serde_json::from_str(include_str!("../stand-ins/charges.json")).expect("tables");
    for (number, Table { buckets, charges }) in tables.into_iter().enumerate() {
        let mut gate: Vec<_> =
            buckets.iter().map(|bucket| Bucket::fresh(bucket.spec).in_shadow(bucket.is_shadow)).collect();
        let mut now_ms = 1_763_700_000_000;
        for (index, Row { after_ms, cost, wanted, held, reply }) in charges.into_iter().enumerate() {
            now_ms += after_ms;
            let due = Due { cost, wanted, held, buckets: buckets.clone() };
            let shadow = would_refuse(&gate, now_ms, cost);
            let said = charge_up_to(&mut gate, now_ms, cost, Wish { wanted, held });
            let said = said.map(|(charge, extra)| Charged { charge, extra, shadow });
            assert_eq!(read(&due, &reply), said, "table {number}, charge {index}");
        }
    }
}
