//! Pushing mutations: one round, in one call.
//!
//! In scope: handing a client's mutations to `sync_push` and its answer back. Out of scope: checking them and merging (core), and
//! how many rounds there are.

use std::borrow::Cow;

use drey_core::id::{SessionId, WorkspaceId};
use drey_core::retry::Effect;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::neon::{Answer, Consistency};
use crate::session::Session;
use crate::statement::{Param, Statement, number, text, uuid};
use crate::sync_told::{self, Telling};
use crate::{Result, StoreError};

/// Why core refuses a mutation. It is recorded as processed, so that the client can go on.
#[derive(Clone, Copy, Debug)]
pub struct PushReject<'a> {
    /// A stable code, such as `secret-value`.
    pub code: &'a str,
    /// A sentence.
    pub detail: &'a str,
}

/// One mutation, as the client sent it.
#[derive(Clone, Copy, Debug)]
pub struct PushMutation<'a> {
    /// The client's number, one above the last.
    pub id: i64,
    /// The type of the scope.
    pub scope_type: &'a str,
    /// The id of the scope.
    pub scope_id: &'a str,
    /// The type of the entity.
    pub entity_type: &'a str,
    /// The id of the entity.
    pub entity_id: &'a str,
    /// `upsert` or `delete`.
    pub op: &'a str,
    /// The version the client changed; `None` if it knew of none.
    pub base_version: Option<i64>,
    /// The entity's clock, a JSON object.
    pub clock: &'a str,
    /// The new value, JSON text that goes to the database byte for byte.
    pub value: Option<&'a str>,
    /// Set if core has refused it.
    pub reject: Option<PushReject<'a>>,
    /// What core decided, if the entity was stale in the round before.
    pub decision: Option<PushDecision<'a>>,
}

/// What is to become of a mutation that was stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushVerdict<'a> {
    /// It is written.
    Apply,
    /// Its `op`, `value` and `clock` are a merge's.
    Merge {
        /// The value that the client sent, none for a delete.
        value: Option<&'a str>,
        /// The clock that the client sent.
        clock: &'a str,
    },
    /// It is kept beside what stands.
    Diverge,
}

/// A decision and the version it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushDecision<'a> {
    /// What is to become of it.
    pub verdict: PushVerdict<'a>,
    /// It holds only while this version stands.
    pub expect_version: i64,
}

/// How long things of sync are kept, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// A client that was not seen for longer begins again.
    pub client_ms: u64,
    /// A session in which nothing happened for longer is over.
    pub session_ms: u64,
    /// A divergence is kept this long, resolved or not.
    pub divergence_ms: u64,
}

/// Milliseconds as a parameter; more than Postgres' dates can hold is as good as for ever.
pub(crate) fn milliseconds<'a>(ms: u64) -> Param<'a> {
    number(i64::try_from(ms).unwrap_or(FOR_EVER_MS).min(FOR_EVER_MS))
}

/// A thousand years.
const FOR_EVER_MS: i64 = 1_000 * 366 * 86_400_000;

/// A push.
#[derive(Clone, Copy, Debug)]
pub struct PushCall<'a> {
    /// Where to.
    pub workspace: WorkspaceId,
    /// The device or tab.
    pub client_id: &'a str,
    /// Its session.
    pub session: Option<SessionId>,
    /// Outcomes up to this one are forgotten: the client has them.
    pub acked: Option<i64>,
    /// In the client's order.
    pub mutations: &'a [PushMutation<'a>],
    /// Whether what is stale diverges, so that this round always writes. Else it writes nothing.
    pub else_diverge: bool,
    /// How long things are kept.
    pub retention: Retention,
    /// Where what it writes is to be told.
    pub tellings: &'a [Telling],
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushResult {
    /// The client's last processed mutation.
    pub last_mutation_id: i64,
    /// A JSON array: one result a mutation, in order. Where nothing was written because something is stale, those are
    /// `stale` with what stands (`drey_core::sync::Standing`), and the others `current`, `duplicate` or `retry`.
    pub results: String,
    /// A JSON array: the scopes touched, as they stand now.
    pub scopes: String,
    /// Whether nothing was written because something is stale.
    pub is_stale: bool,
    /// For each telling what this push has added there, if it is told.
    pub told: Vec<Option<String>>,
}

pub(crate) const PUSH: Statement = Statement {
    name: "sync.push",
    sql: "select last_mutation_id, results, scopes, is_stale \
          from sync_push($1::uuid, $2::text, $3::uuid, $4::bigint, $5::json, $6::json, $7::json, $8::boolean, $9::bigint, $10::bigint, \
                         $11::bigint)",
    hot: false,
};

/// Writes the mutations, or tells which of them are stale. Repeating a push is harmless: its ids are duplicates then.
pub async fn push(s: &Session<'_>, push: &PushCall<'_>) -> Result<PushResult> {
    let Split { items, values, mine } = split(push.mutations)?;
    let call = PUSH.with([
        uuid(push.workspace.uuid()),
        text(push.client_id),
        push.session.and_then(|session| uuid(session.uuid())),
        push.acked.and_then(number),
        Some(Cow::Owned(items)),
        Some(Cow::Owned(values)),
        Some(Cow::Owned(mine)),
        text(if push.else_diverge { "t" } else { "f" }),
        milliseconds(push.retention.client_ms),
        milliseconds(push.retention.session_ms),
        milliseconds(push.retention.divergence_ms),
    ]);
    let decode = |mut answer: Answer<'_>| {
        let (last_mutation_id, is_stale) = (answer.first(0)?.i64(0)?, answer.first(0)?.bool(3)?);
        let mut json =
            |column| answer.take(0, column).ok_or_else(|| StoreError::fault("sync.push: a column is missing"));
        let (results, scopes) = (json(1)?, json(2)?);
        let told = sync_told::told(&mut answer, push.tellings);
        Ok(PushResult { last_mutation_id, results, scopes, is_stale, told })
    };
    let tellings = push.tellings.iter().map(|telling| telling.call(push.workspace));
    let calls: Vec<_> = std::iter::once(call).chain(tellings).collect();
    s.neon.run(s, &calls, Effect::Idempotent, Consistency::Primary, decode).await
}

/// A mutation without its value, as `sync_items` reads it.
#[derive(Serialize)]
struct Item<'a> {
    id: i64,
    scope_type: &'a str,
    scope_id: &'a str,
    entity_type: &'a str,
    entity_id: &'a str,
    op: &'a str,
    base_version: Option<i64>,
    clock: &'a RawValue,
    reject_code: Option<&'a str>,
    reject_detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect_version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mine_clock: Option<&'a RawValue>,
}

/// The mutations, and their values in arrays of their own: Postgres then passes those on without reading into them.
struct Split {
    items: String,
    values: String,
    mine: String,
}

fn split(mutations: &[PushMutation<'_>]) -> Result<Split> {
    let items: Vec<_> = mutations.iter().map(item).collect::<Result<_>>()?;
    let items = serde_json::to_string(&items).map_err(|error| StoreError::fault(format!("sync.push: {error}")))?;
    // A refused value is not kept, so it need not travel.
    let values: Vec<_> =
        mutations.iter().map(|mutation| mutation.reject.map_or(mutation.value, |_| None).unwrap_or("null")).collect();
    let merged = mutations.iter().map(|mutation| match mutation.decision {
        Some(PushDecision { verdict: PushVerdict::Merge { value, .. }, .. }) => value.unwrap_or("null"),
        _ => "null",
    });
    let mine = merged.collect::<Vec<_>>().join(",");
    Ok(Split { items, values: format!("[{}]", values.join(",")), mine: format!("[{mine}]") })
}

fn item<'a>(mutation: &PushMutation<'a>) -> Result<Item<'a>> {
    Ok(Item {
        id: mutation.id,
        scope_type: mutation.scope_type,
        scope_id: mutation.scope_id,
        entity_type: mutation.entity_type,
        entity_id: mutation.entity_id,
        op: mutation.op,
        base_version: mutation.base_version,
        clock: clock(mutation.clock)?,
        reject_code: mutation.reject.map(|reject| reject.code),
        reject_detail: mutation.reject.map(|reject| reject.detail),
        expect_version: mutation.decision.map(|decision| decision.expect_version),
        decision: mutation.decision.map(|decision| match decision.verdict {
            PushVerdict::Apply => "apply",
            PushVerdict::Merge { .. } => "merge",
            PushVerdict::Diverge => "diverge",
        }),
        mine_clock: match mutation.decision {
            Some(PushDecision { verdict: PushVerdict::Merge { clock: mine, .. }, .. }) => Some(clock(mine)?),
            _ => None,
        },
    })
}

fn clock(text: &str) -> Result<&RawValue> {
    serde_json::from_str(text).map_err(|_| StoreError::fault("sync.push: a clock is not JSON"))
}

#[cfg(test)]
mod tests {
    use super::{PushDecision, PushMutation, PushReject, PushVerdict, split};

    const ONE: PushMutation<'static> = PushMutation {
        id: 1,
        scope_type: "project",
        scope_id: "prj_1",
        entity_type: "request",
        entity_id: "r",
        op: "upsert",
        base_version: None,
        clock: r#"{"c":1}"#,
        value: Some(r#"{ "b":1,  "a":"\u0000" }"#),
        reject: None,
        decision: None,
    };

    /// What `sync_items` reads: if this changes, pushes of a running Worker fail against a migrated database.
    #[test]
    fn mutations_and_values_travel_apart_and_values_untouched() {
        let refused = PushMutation { id: 2, reject: Some(PushReject { code: "secret-value", detail: "d" }), ..ONE };
        let split = split(&[ONE, refused]).expect("they can be written");
        assert_eq!(split.values, r#"[{ "b":1,  "a":"\u0000" },null]"#);
        assert_eq!(split.mine, "[null,null]");
        assert_eq!(
            split.items,
            concat!(
                r#"[{"id":1,"scope_type":"project","scope_id":"prj_1","entity_type":"request","entity_id":"r","op":"upsert","#,
                r#""base_version":null,"clock":{"c":1},"reject_code":null,"reject_detail":null},"#,
                r#"{"id":2,"scope_type":"project","scope_id":"prj_1","entity_type":"request","entity_id":"r","op":"upsert","#,
                r#""base_version":null,"clock":{"c":1},"reject_code":"secret-value","reject_detail":"d"}]"#,
            )
        );
    }
    #[test]
    fn a_decision_travels_with_the_version_it_was_made_for() {
        let merge = PushDecision {
            verdict: PushVerdict::Merge { value: Some(r#"{"m": 1}"#), clock: r#"{"c":1}"# },
            expect_version: 7,
        };
        let split = split(&[PushMutation { decision: Some(merge), ..ONE }]).expect("it can be written");
        assert_eq!((&*split.mine, &*split.values), (r#"[{"m": 1}]"#, r#"[{ "b":1,  "a":"\u0000" }]"#));
        assert!(
            split
                .items
                .ends_with(r#""reject_detail":null,"expect_version":7,"decision":"merge","mine_clock":{"c":1}}]"#),
            "{}",
            split.items
        );
    }
}
