//! Pushing mutations: round 1, in one call.
//!
//! In scope: handing a client's mutations to `sync_push` and its answer back. Out of scope: checking them (core), merging.

use std::borrow::Cow;

use drey_core::id::{SessionId, WorkspaceId};
use drey_core::retry::Effect;
use serde::Serialize;

use crate::neon::{Answer, Consistency};
use crate::session::Session;
use crate::statement::{Statement, number, text, uuid};
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
}

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
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushResult {
    /// The client's last processed mutation.
    pub last_mutation_id: i64,
    /// A JSON array: one result a mutation, in order.
    pub results: String,
    /// A JSON array: the scopes touched, as they stand now.
    pub scopes: String,
}

pub(crate) const PUSH: Statement = Statement {
    name: "sync.push",
    sql: "select last_mutation_id, results, scopes from sync_push($1::uuid, $2::text, $3::uuid, $4::bigint, $5::json, $6::json)",
    hot: false,
};

/// Applies the mutations, or tells which of them are stale. Repeating a push is harmless: its ids are duplicates then.
pub async fn push(s: &Session<'_>, push: &PushCall<'_>) -> Result<PushResult> {
    let (mutations, values) = split(push.mutations)?;
    let call = PUSH.with([
        uuid(push.workspace.uuid()),
        text(push.client_id),
        push.session.and_then(|session| uuid(session.uuid())),
        push.acked.and_then(number),
        Some(Cow::Owned(mutations)),
        Some(Cow::Owned(values)),
    ]);
    let decode = |mut answer: Answer<'_>| {
        let last_mutation_id = answer.first(0)?.i64(0)?;
        let mut json =
            |column| answer.take(0, column).ok_or_else(|| StoreError::fault("sync.push: a column is missing"));
        Ok(PushResult { last_mutation_id, results: json(1)?, scopes: json(2)? })
    };
    s.neon.run(s, &[call], Effect::Idempotent, Consistency::Primary, decode).await
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
    clock: &'a serde_json::value::RawValue,
    reject_code: Option<&'a str>,
    reject_detail: Option<&'a str>,
}

/// The mutations, and their values in an array of their own: Postgres then passes those on without reading into them.
fn split(mutations: &[PushMutation<'_>]) -> Result<(String, String)> {
    let items: Vec<_> = mutations.iter().map(item).collect::<Result<_>>()?;
    let items = serde_json::to_string(&items).map_err(|error| StoreError::fault(format!("sync.push: {error}")))?;
    // A refused value is not kept, so it need not travel.
    let values: Vec<_> =
        mutations.iter().map(|mutation| mutation.reject.map_or(mutation.value, |_| None).unwrap_or("null")).collect();
    Ok((items, format!("[{}]", values.join(","))))
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
        clock: serde_json::from_str(mutation.clock).map_err(|_| StoreError::fault("sync.push: a clock is not JSON"))?,
        reject_code: mutation.reject.map(|reject| reject.code),
        reject_detail: mutation.reject.map(|reject| reject.detail),
    })
}

#[cfg(test)]
mod tests {
    use super::{PushMutation, PushReject, split};

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
    };

    /// What `sync_items` reads: if this changes, pushes of a running Worker fail against a migrated database.
    #[test]
    fn mutations_and_values_travel_apart_and_values_untouched() {
        let refused = PushMutation { id: 2, reject: Some(PushReject { code: "secret-value", detail: "d" }), ..ONE };
        let (items, values) = split(&[ONE, refused]).expect("they can be written");
        assert_eq!(values, r#"[{ "b":1,  "a":"\u0000" },null]"#);
        assert_eq!(
            items,
            concat!(
                r#"[{"id":1,"scope_type":"project","scope_id":"prj_1","entity_type":"request","entity_id":"r","op":"upsert","#,
                r#""base_version":null,"clock":{"c":1},"reject_code":null,"reject_detail":null},"#,
                r#"{"id":2,"scope_type":"project","scope_id":"prj_1","entity_type":"request","entity_id":"r","op":"upsert","#,
                r#""base_version":null,"clock":{"c":1},"reject_code":"secret-value","reject_detail":"d"}]"#,
            )
        );
    }
}
