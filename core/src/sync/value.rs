//! What an entity's value may be: a JSON object that Postgres can hold and that shows no secret.
//!
//! In scope: size, depth, characters, secrets, the members that are known. Out of scope: all others; a value is returned byte
//! for byte.

mod schema;

use std::borrow::Cow;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Rejection;

/// The largest value, in bytes.
pub const MAX_VALUE: usize = 256 * 1024;

/// The deepest nesting. Postgres' JSON parser recurses, and past some thousand levels it fails the whole push.
pub const MAX_DEPTH: usize = 128;

/// The members of a variable that hold what it is worth, in the tools we know.
const VALUE_MEMBERS: [&str; 5] = ["value", "initialValue", "currentValue", "initial_value", "current_value"];

/// The members of an entity that list its variables; the last two are Postman's.
const LISTS: [&str; 3] = ["variables", "values", "variable"];

/// How deep an environment is searched for secrets. Each level is read anew, so this bounds the work; none is nested so deep.
const MOST_READ: usize = 32;

/// Checks the value of an upsert.
///
/// # Errors
/// [`Rejection`] with `value-too-large`, `invalid-value` or `secret-value`.
pub fn check_value(entity_type: &str, value: &RawValue) -> Result<(), Rejection> {
    let text = value.get();
    if text.len() > MAX_VALUE {
        return Err(Rejection::new("value-too-large", "The value is larger than 262144 bytes."));
    }
    if !text.starts_with('{') {
        return Err(Rejection::new("invalid-value", "The value must be a JSON object."));
    }
    check_text(text)?;
    schema::check(entity_type, value)?;
    if has_secret(entity_type, value) {
        return Err(Rejection::new("secret-value", "A secret variable must be sent without its value."));
    }
    Ok(())
}

/// One pass over the text: its depth, and the escapes that Postgres refuses although JSON allows them.
fn check_text(text: &str) -> Result<(), Rejection> {
    let (mut depth, mut in_string, mut bytes) = (0_usize, false, text.as_bytes());
    while let Some((byte, rest)) = bytes.split_first() {
        bytes = rest;
        match (in_string, byte) {
            (true, b'\\') => bytes = after_escape(bytes)?,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(Rejection::new("invalid-value", "The value is nested deeper than 128 levels."));
        }
    }
    Ok(())
}

/// The rest after an escape whose backslash is already taken.
fn after_escape(bytes: &[u8]) -> Result<&[u8], Rejection> {
    let not_text = || Rejection::new("invalid-value", "The value has an escape that is no character.");
    let Some((_, rest)) = bytes.split_first().filter(|(kind, _)| **kind == b'u') else {
        return bytes.split_first().map(|(_, rest)| rest).ok_or_else(not_text);
    };
    let (unit, rest) = code_unit(rest).ok_or_else(not_text)?;
    match unit {
        0 | 0xdc00..=0xdfff => Err(not_text()),
        0xd800..=0xdbff => {
            let low = rest.strip_prefix(b"\\u").and_then(code_unit);
            low.filter(|(low, _)| (0xdc00..=0xdfff).contains(low)).map(|(_, rest)| rest).ok_or_else(not_text)
        }
        _ => Ok(rest),
    }
}

fn code_unit(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = bytes.split_first_chunk::<4>()?;
    Some((u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?, rest))
}

/// A secret variable that carries its value: the entity itself, one that it lists, or anything inside an environment.
fn has_secret(entity_type: &str, value: &RawValue) -> bool {
    // Most values name no secret at all: they are not read member by member.
    if !may_name_secret(value) {
        return false;
    }
    if entity_type == "environment" {
        return holds_secret(value, false, 0);
    }
    let members = members(value);
    let own = entity_type == "variable" && is_filled_secret(&members);
    let inside = members.iter().filter(|(name, _)| LISTS.contains(&name.as_ref())).any(|(_, list)| {
        let list: Vec<&RawValue> = serde_json::from_str(list.get()).unwrap_or_default();
        list.iter().any(|variable| is_filled_secret(&self::members(variable)))
    });
    own || inside
}

/// Whether the word stands in it, as it is or by escapes.
fn may_name_secret(value: &RawValue) -> bool {
    value.get().contains("secret") || value.get().contains("\\u")
}

/// Whether a secret lies anywhere in this value. The members of a map of variables are what the variables are called: one may
/// be called `secret`. What lies too deep is not read: that it may name a secret is enough.
fn holds_secret(value: &RawValue, is_map: bool, depth: usize) -> bool {
    if depth >= MOST_READ {
        return may_name_secret(value);
    }
    match value.get().as_bytes().first() {
        Some(b'{') => {
            let members = members(value);
            (!is_map && is_filled_secret(&members))
                || members.iter().any(|(name, member)| holds_secret(member, name == "variables", depth + 1))
        }
        Some(b'[') => {
            let list: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
            list.iter().any(|element| holds_secret(element, false, depth + 1))
        }
        _ => false,
    }
}

/// Every member counts, repeated names included: another reader may take the first where we take the last.
fn is_filled_secret(members: &[(Cow<'_, str>, &RawValue)]) -> bool {
    let secret = members.iter().any(|(name, value)| marks_secret(name, value));
    let filled = |(name, value): &(Cow<'_, str>, &RawValue)| {
        VALUE_MEMBERS.contains(&name.as_ref()) && !matches!(value.get(), "null" | "\"\"")
    };
    secret && members.iter().any(filled)
}

/// `"secret": true`, where what some reader may take for true is, or `"type": "secret"` as Postman writes it.
fn marks_secret(name: &str, value: &RawValue) -> bool {
    match name {
        "secret" => !matches!(value.get(), "false" | "null" | "0" | "\"\""),
        "type" => serde_json::from_str::<Cow<'_, str>>(value.get()).is_ok_and(|kind| kind == "secret"),
        _ => false,
    }
}

/// The members of an object in their order, repeated names included; none if it is not an object.
fn members(value: &RawValue) -> Vec<(Cow<'_, str>, &RawValue)> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(value.get()).deserialize_map(Members).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entity_type: &str, text: &str) -> Result<(), &'static str> {
        let value: &RawValue = serde_json::from_str(text).expect("json");
        check_value(entity_type, value).map_err(|rejection| rejection.code)
    }

    #[test]
    fn a_secret_travels_without_its_value() {
        let secret = Err("secret-value");
        for (entity_type, text, expected) in [
            ("variable", r#"{"secret":true,"value":"s3cr3t"}"#, secret),
            ("variable", r#"{"secret":true,"currentValue":1}"#, secret),
            ("variable", r#"{"secret":true,"secret":false,"value":"s"}"#, secret),
            ("variable", r#"{"s\u0065cret":true,"valu\u0065":"s"}"#, secret),
            ("variable", r#"{"secret":true,"value":""}"#, Ok(())),
            ("variable", r#"{"secret":true,"value":null,"key":"k"}"#, Ok(())),
            ("variable", r#"{"secret":false,"value":"plain"}"#, Ok(())),
            ("request", r#"{"secret":true,"value":"a field of a form"}"#, Ok(())),
            ("environment", r#"{"variables":[{"value":"a"},{"secret":true,"value":"s"}]}"#, secret),
            ("environment", r#"{"variables":[],"variables":[{"secret":true,"initialValue":"s"}]}"#, secret),
            ("environment", r#"{"variables":[7,{"secret":true,"key":"k"}]}"#, Ok(())),
            ("environment", r#"{"variables":{"secret":true,"value":"s"}}"#, Ok(())),
            ("environment", r#"{"variables":{"token":{"secret":true,"value":"s"}}}"#, secret),
            ("environment", r#"{"variables":{"secret":{"secret":true,"value":"s"}}}"#, secret),
            ("environment", r#"{"\u0076ariables":[[{"s\u0065cret":true,"value":"s"}]]}"#, secret),
            ("environment", r#"{"stages":[{"variables":[{"secret":true,"value":"s"}]}]}"#, secret),
            ("environment", r#"{"secret":true,"value":"s"}"#, secret),
            ("environment", r#"{"variables":[{"secret":"true","value":"s"}]}"#, secret),
            ("environment", r#"{"variables":[{"secret":0,"value":"s"}]}"#, Ok(())),
            ("collection", r#"{"variables":[{"secret":1,"value":"s"}]}"#, secret),
            ("request", r#"{"variables":{"input":{"secret":true,"value":"of a query"}}}"#, Ok(())),
            ("environment", r#"{"values":[{"key":"a","value":"secret","type":"default"}]}"#, Ok(())),
            ("environment", r#"{"values":[{"key":"t","value":"s","type":"secret","enabled":true}]}"#, secret),
            ("environment", r#"{"values":[{"key":"t","value":"","type":"secret"}]}"#, Ok(())),
            ("environment", r#"{"values":[{"key":"t","value":"s","type":"\u0073ecret"}]}"#, secret),
            ("environment", r#"{"variables":[{"type":"secret","type":"default","value":"s"}]}"#, secret),
            ("environment", r#"{"variables":{"type":{"value":"secret"}}}"#, Ok(())),
            ("globals", r#"{"values":[{"key":"t","value":"s","type":"secret"}]}"#, secret),
            ("collection", r#"{"variable":[{"key":"t","type":"secret","value":"s"}]}"#, secret),
            ("variable", r#"{"type":"secret","value":"s"}"#, secret),
            ("variable", r#"{"type":"string","value":"secret"}"#, Ok(())),
            ("request", r#"{"type":"secret","value":"a field of a form"}"#, Ok(())),
        ] {
            assert_eq!(check(entity_type, text), expected, "{entity_type} {text}");
        }
    }

    #[test]
    fn what_lies_too_deep_in_an_environment_to_be_read_may_not_even_name_a_secret() {
        let nested = |depth: usize, text: &str| {
            check("environment", &format!("{{\"a\":{}\"{text}\"{}}}", "[".repeat(depth), "]".repeat(depth)))
        };
        assert_eq!((nested(30, "secret"), nested(31, "secret")), (Ok(()), Err("secret-value")));
        assert_eq!(nested(120, "public"), Ok(()));
    }

    #[test]
    fn what_postgres_cannot_hold_is_rejected() {
        let invalid = Err("invalid-value");
        for (text, expected) in [
            ("[]", invalid),
            ("\"a\"", invalid),
            (r#"{"a":"\u0000"}"#, invalid),
            (r#"{"a":"\\u0000"}"#, Ok(())),
            (r#"{"a":"\ud83d"}"#, invalid),
            (r#"{"a":"\udE00\ud83d"}"#, invalid),
            (r#"{"a":"\ud83d\ude00"}"#, Ok(())),
            (r#"{"a":"[[{{"}"#, Ok(())),
        ] {
            assert_eq!(check("request", text), expected, "{text}");
        }
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert_eq!((check("request", &nested(128)), check("request", &nested(129))), (Ok(()), invalid));
    }

    #[test]
    fn a_value_is_at_most_256_kib() {
        let of_size = |size: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8));
        assert_eq!(check("request", &of_size(MAX_VALUE)), Ok(()));
        assert_eq!(check("request", &of_size(MAX_VALUE + 1)), Err("value-too-large"));
    }
}
