//! One mutation of a push: its shape, and whether it can ever be applied.
//!
//! In scope: permanent faults, which are marked as processed so that they do not block the client's queue.
//! Out of scope: conflicts, which only the database can see.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::value::check_value;
use super::{ClientId, Clock, EntityKey, MAX_CLOCK, ScopeRef};
use crate::object::object;

text_enum! {
    /// What a mutation does to its entity.
    pub enum Operation {
        /// Puts the whole value.
        Upsert = "upsert",
        /// Removes the entity.
        Delete = "delete",
    }
}

/// A scope as it came, unchecked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeText<'a> {
    /// See [`ScopeRef::parse`].
    #[serde(rename = "type", borrow)]
    pub scope_type: Cow<'a, str>,
    /// See [`ScopeRef::parse`].
    #[serde(borrow)]
    pub id: Cow<'a, str>,
}

/// An entity as it came, unchecked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityText<'a> {
    /// See [`EntityKey::parse`].
    #[serde(rename = "type", borrow)]
    pub entity_type: Cow<'a, str>,
    /// See [`EntityKey::parse`].
    #[serde(borrow)]
    pub id: Cow<'a, str>,
}

/// A mutation as it came. The value is borrowed from the body, so that it can be stored byte for byte.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutation<'a> {
    /// Its number in the client's queue; consecutive, from 1.
    pub id: i64,
    /// Where it applies.
    #[serde(borrow, deserialize_with = "object")]
    pub scope: ScopeText<'a>,
    /// To what it applies.
    #[serde(borrow, deserialize_with = "object")]
    pub entity: EntityText<'a>,
    /// `upsert` or `delete`.
    #[serde(borrow)]
    pub op: Cow<'a, str>,
    /// The version the client saw; none for an entity it takes for new.
    #[serde(default)]
    pub base_version: Option<i64>,
    /// What the client had seen of each client in the log of this scope, itself included. A log is read in order, so that
    /// whoever has seen a mutation of a client there has seen those before it.
    #[serde(default)]
    pub clock: Clock,
    /// The whole value of an upsert; none of a delete.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub value: Option<&'a RawValue>,
}

/// Why a mutation can never be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// A stable name: `invalid-scope`, `invalid-entity`, `invalid-operation`, `invalid-version`, `invalid-clock`,
    /// `invalid-value`, `value-too-large`, `secret-value`.
    pub code: &'static str,
    /// A sentence.
    pub detail: Cow<'static, str>,
}

impl Rejection {
    pub(super) fn new(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// Whether the mutation of this client can be applied at all.
///
/// # Errors
/// [`Rejection`], which is the mutation's outcome: it is not tried again.
pub fn check(mutation: &Mutation<'_>, client: &ClientId) -> Result<(), Rejection> {
    ScopeRef::parse(&mutation.scope.scope_type, &mutation.scope.id)
        .map_err(|error| Rejection::new("invalid-scope", format!("The scope {error}.")))?;
    EntityKey::parse(&mutation.entity.entity_type, &mutation.entity.id)
        .map_err(|error| Rejection::new("invalid-entity", format!("The entity's type and id {error}.")))?;
    if mutation.base_version.is_some_and(|version| version < 0) {
        return Err(Rejection::new("invalid-version", "The base version must not be negative."));
    }
    check_clock(mutation, client)?;
    match (Operation::parse(&mutation.op), mutation.value) {
        (Some(Operation::Upsert), Some(value)) => check_value(&mutation.entity.entity_type, value),
        (Some(Operation::Upsert), None) => Err(Rejection::new("invalid-value", "An upsert needs a value.")),
        (Some(Operation::Delete), None) => Ok(()),
        (Some(Operation::Delete), Some(_)) => Err(Rejection::new("invalid-value", "A delete has no value.")),
        (None, _) => Err(Rejection::new("invalid-operation", "The operation must be upsert or delete.")),
    }
}

/// The client's own entry is the mutation's id; an empty clock says only that.
fn check_clock(mutation: &Mutation<'_>, client: &ClientId) -> Result<(), Rejection> {
    let fault = |detail: &'static str| Err(Rejection::new("invalid-clock", detail));
    if mutation.clock.len() > MAX_CLOCK {
        return fault("The clock names more than 256 clients.");
    }
    if mutation.clock.entries().any(|(id, count)| ClientId::parse(id).is_err() || count < 0) {
        return fault("The clock must map client ids to counts of at least 0.");
    }
    if !mutation.clock.is_empty() && mutation.clock.seen(client.as_str()) != mutation.id {
        return fault("The clock's entry of the pushing client must be the mutation's id.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), &'static str> {
        let mutation: Mutation<'_> = serde_json::from_str(text).expect("mutation");
        check(&mutation, &ClientId::parse("c1").expect("client")).map_err(|rejection| rejection.code)
    }

    fn mutation(rest: &str) -> String {
        format!(r#"{{"id":4,"scope":{{"type":"collection","id":"a"}},"entity":{{"type":"request","id":"r"}},{rest}}}"#)
    }

    #[test]
    fn operation_and_value_belong_together() {
        for (rest, expected) in [
            (r#""op":"upsert","value":{"a":1}"#, Ok(())),
            (r#""op":"delete""#, Ok(())),
            (r#""op":"upsert""#, Err("invalid-value")),
            (r#""op":"upsert","value":null"#, Err("invalid-value")),
            (r#""op":"delete","value":{}"#, Err("invalid-value")),
            (r#""op":"patch","value":{}"#, Err("invalid-operation")),
            (r#""op":"delete","base_version":-1"#, Err("invalid-version")),
        ] {
            assert_eq!(checked(&mutation(rest)), expected, "{rest}");
        }
    }

    #[test]
    fn a_clock_names_its_own_mutation() {
        for (clock, expected) in [
            (r#"{"c1":4,"c2":9}"#, Ok(())),
            (r"{}", Ok(())),
            (r#"{"c1":3}"#, Err("invalid-clock")),
            (r#"{"c2":4}"#, Err("invalid-clock")),
            (r#"{"c1":4,"c/2":1}"#, Err("invalid-clock")),
            (r#"{"c1":4,"c2":-1}"#, Err("invalid-clock")),
        ] {
            assert_eq!(checked(&mutation(&format!(r#""op":"delete","clock":{clock}"#))), expected, "{clock}");
        }
    }

    #[test]
    fn a_value_keeps_its_bytes() {
        let text = mutation(r#""op":"upsert","value":{ "b": 1.00, "a":"\u00e9" }"#);
        let parsed: Mutation<'_> = serde_json::from_str(&text).expect("mutation");
        let written = serde_json::to_string(&parsed).expect("json");
        assert!(written.contains(r#""value":{ "b": 1.00, "a":"\u00e9" }"#), "{written}");
    }
}
