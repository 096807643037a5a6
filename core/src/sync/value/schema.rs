//! What drey knows of the members of entities.
//!
//! In scope: the few that all tools read alike, and that the rule for secrets rests on. Each may be absent or null. Out of scope:
//! every other member, whatever it is.

use serde_json::value::RawValue;

use super::{Rejection, members};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    /// A list of variables, or a map of them by name.
    Variables,
}

fn known(entity_type: &str) -> &'static [(&'static str, Kind)] {
    match entity_type {
        "collection" | "folder" => &[("name", Kind::Text)],
        "request" => &[("name", Kind::Text), ("method", Kind::Text)],
        "environment" => &[("name", Kind::Text), ("variables", Kind::Variables)],
        "variable" => &[("key", Kind::Text), ("secret", Kind::Flag)],
        _ => &[],
    }
}

impl Kind {
    /// By its first byte, which tells what JSON is.
    fn fits(self, json: &str) -> bool {
        match json.as_bytes().first() {
            Some(b'n') => true,
            Some(b'"') => self == Self::Text,
            Some(b't' | b'f') => self == Self::Flag,
            Some(b'[' | b'{') => self == Self::Variables,
            _ => false,
        }
    }

    const fn clause(self) -> &'static str {
        match self {
            Self::Text => "must be a text",
            Self::Flag => "must be true or false",
            Self::Variables => "must be a list or a map",
        }
    }
}

/// Checks the members that are known of this type of entity; of names that are given twice, each.
pub(super) fn check(entity_type: &str, value: &RawValue) -> Result<(), Rejection> {
    let known = known(entity_type);
    if known.is_empty() {
        return Ok(());
    }
    for (name, member) in members(value) {
        let kind = known.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        if let Some(kind) = kind.filter(|kind| !kind.fits(member.get())) {
            let detail = format!("The {name} of a value of the type {entity_type} {}.", kind.clause());
            return Err(Rejection::new("invalid-value", detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_members_are_what_all_tools_take_them_for() {
        for (entity_type, text, fits) in [
            ("request", r#"{"name":"n","method":"GET","url":{"raw":"r"},"x":[]}"#, true),
            ("request", r#"{"name":null}"#, true),
            ("request", r#"{"name":7}"#, false),
            ("request", r#"{"name":"n","n\u0061me":{}}"#, false),
            ("request", r#"{"method":["GET"]}"#, false),
            ("folder", r#"{"name":false}"#, false),
            ("collection", "{}", true),
            ("environment", r#"{"variables":[]}"#, true),
            ("environment", r#"{"variables":{}}"#, true),
            ("environment", r#"{"variables":"a=b"}"#, false),
            ("variable", r#"{"key":"k","secret":false}"#, true),
            ("variable", r#"{"secret":"true"}"#, false),
            ("variable", r#"{"key":1}"#, false),
            ("cookie", r#"{"name":7,"secret":"s"}"#, true),
        ] {
            let value: &RawValue = serde_json::from_str(text).expect("json");
            let outcome = check(entity_type, value).map_err(|rejection| rejection.code);
            assert_eq!(outcome, if fits { Ok(()) } else { Err("invalid-value") }, "{entity_type} {text}");
        }
    }
}
