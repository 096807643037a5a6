//! Merging two edits of one JSON text.
//!
//! In scope: three texts in, one out, by JSON Pointer paths; elements of an array are known by their `id`. What neither side has
//! changed keeps its bytes: changed paths are spliced into `theirs`. Out of scope: whether the merged value may be stored.

mod array;
mod equal;
mod object;
mod scan;

use scan::Kind;

pub use equal::equal;

/// How many steps a path has at most: below this nothing is told apart but bytes. Each level scans the text anew, so this bounds
/// the work (32 times what is compared, 4 MiB in a push) and the stack. Documents of API tools are a dozen levels deep.
const MAX_DEPTH: usize = 32;

/// Both sides changed the same path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("both sides changed {pointer:?}")]
pub struct Conflict {
    /// The path, a JSON Pointer (RFC 6901); elements of arrays stand in it by their id.
    pub pointer: String,
}

impl Conflict {
    fn here() -> Self {
        Self { pointer: String::new() }
    }

    fn below(self, name: &str) -> Self {
        let name = name.replace('~', "~0").replace('/', "~1");
        Self { pointer: format!("/{name}{}", self.pointer) }
    }
}

/// What both sides made of `base`, with `theirs` as the text that is changed. All three are JSON.
///
/// # Errors
/// [`Conflict`] with the first path that both sides changed.
pub fn merge(base: &str, mine: &str, theirs: &str) -> Result<String, Conflict> {
    let [base, mine, theirs] = [base, mine, theirs].map(str::trim);
    let merged = if base == theirs { mine.to_owned() } else { at_depth(base, mine, theirs, 0)? };
    // A text that is no JSON has no paths; whoever sent one shall see both sides.
    let valid = serde_json::from_str::<&serde_json::value::RawValue>(&merged).is_ok();
    if valid { Ok(merged) } else { Err(Conflict::here()) }
}

fn at_depth(base: &str, mine: &str, theirs: &str, depth: usize) -> Result<String, Conflict> {
    if mine == theirs || base == mine {
        return Ok(theirs.to_owned());
    }
    let kinds = [base, mine, theirs].map(scan::kind);
    let merged = match kinds {
        _ if depth >= MAX_DEPTH => None,
        [Kind::Object, Kind::Object, Kind::Object] => object::merge(base, mine, theirs, depth)?,
        [Kind::Array, Kind::Array, Kind::Array] => array::merge(base, mine, theirs, depth)?,
        _ => None,
    };
    merged.map_or_else(|| whole(base, mine, theirs), Ok)
}

/// Values that have no paths inside: one side's, if the other says the same as before, written otherwise.
fn whole(base: &str, mine: &str, theirs: &str) -> Result<String, Conflict> {
    if equal(mine, theirs) || equal(base, mine) {
        Ok(theirs.to_owned())
    } else if equal(base, theirs) {
        Ok(mine.to_owned())
    } else {
        Err(Conflict::here())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base: &str, mine: &str, theirs: &str, expected: Result<&str, &str>) {
        let merged = merge(base, mine, theirs);
        let merged = merged.as_deref().map_err(|conflict| conflict.pointer.as_str());
        assert_eq!(merged, expected, "{base} {mine} {theirs}");
    }

    #[test]
    fn disjoint_paths_merge_and_the_rest_keeps_its_bytes() {
        check(
            r#"{"a":1,"b":{"c":1,"d":1}}"#,
            r#"{"b":{"d":2,"c":1.0},"a":1}"#,
            r#"{ "a": 1.50,"b" :{ "c":"\u00e9" , "d":1 } }"#,
            Ok(r#"{ "a": 1.50,"b" :{ "c":"\u00e9" , "d":2 } }"#),
        );
        check(r#"{"a":1}"#, r#"{"a":1,"m":[]}"#, r#"{"a":1,"t":0}"#, Ok(r#"{"a":1,"t":0,"m":[]}"#));
        check(r#"{"a":1,"b":2}"#, r#"{"b":2}"#, r#"{ "a":1, "b":3 }"#, Ok(r#"{ "b":3 }"#));
        check(r#"{"a":1,"b":2}"#, r#"{"a":1}"#, r#"{"b":2}"#, Ok("{}"));
        check("{}", r#"{"a":1}"#, r#"{"a":1.0}"#, Ok(r#"{"a":1.0}"#));
    }

    #[test]
    fn one_path_changed_twice_is_a_conflict_at_its_pointer() {
        check(r#"{"a":{"b/c":1}}"#, r#"{"a":{"b/c":2}}"#, r#"{"a":{"b/c":3}}"#, Err("/a/b~1c"));
        check(r#"{"a":1}"#, "{}", r#"{"a":2}"#, Err("/a"));
        check(r#"{"a":1}"#, r#"{"a":2}"#, "{}", Err("/a"));
        check("{}", r#"{"a":{"x":1}}"#, r#"{"a":{"y":1}}"#, Err("/a"));
        check(r#"{"a":[1,2]}"#, r#"{"a":[1,3]}"#, r#"{"a":[2,1]}"#, Err("/a"));
        check(r#"{"a":1,"a":2}"#, r#"{"a":1,"a":3}"#, r#"{"a":1,"a":4}"#, Err(""));
        check(r#"{"n":12345678901234567890}"#, r#"{"n":12345678901234567891}"#, r#"{"n":1}"#, Err("/n"));
    }

    #[test]
    fn elements_of_an_array_are_known_by_their_id() {
        check(
            r#"[{"id":1,"v":1},{"id":2,"v":1}]"#,
            r#"[{"id":2,"v":1},{"id":3}]"#,
            r#"[{"id":1,"v":1}, {"id":2,"v":2}]"#,
            Ok(r#"[{"id":2,"v":2}, {"id":3}]"#),
        );
        check(
            r#"[{"id":"a"}]"#,
            r#"[{"id":"a"},{"id":"m"}]"#,
            r#"[{"id":"a"},{"id":"t"}]"#,
            Ok(r#"[{"id":"a"},{"id":"m"},{"id":"t"}]"#),
        );
        check(
            r#"[{"id":"a"},{"id":"b"}]"#,
            r#"[{"id":"b"},{"id":"a"}]"#,
            r#"[{"id":"a"},{"id":"b","x":1}]"#,
            Ok(r#"[{"id":"b","x":1},{"id":"a"}]"#),
        );
        check(r#"[{"id":"a","v":1}]"#, r#"[{"id":"a","v":2}]"#, r#"[{"id":"a","v":3}]"#, Err("/a/v"));
        check(r#"[{"id":"a","v":1}]"#, "[]", r#"[{"id":"a","v":3}]"#, Err("/a"));
        check(
            r#"[{"id":1},{"id":2},{"id":3}]"#,
            r#"[{"id":2},{"id":1},{"id":3}]"#,
            r#"[{"id":1},{"id":3},{"id":2}]"#,
            Err(""),
        );
    }

    #[test]
    fn a_path_has_at_most_32_steps() {
        let nested = |levels: usize, inner: &str| format!("{}{inner}{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        let merged = |levels: usize| {
            let of = |inner: &str| nested(levels, inner);
            let merged = merge(&of(r#"{"x":1,"y":1}"#), &of(r#"{"x":2,"y":1}"#), &of(r#"{"x":1, "y":2}"#));
            merged.map_err(|conflict| conflict.pointer)
        };
        assert_eq!(merged(31), Ok(nested(31, r#"{"x":2, "y":2}"#)));
        assert_eq!(merged(32), Err("/a".repeat(32)));
        let [one, other] = [31, 32].map(|levels| [nested(levels, "[1]"), nested(levels, "[ 1]")]);
        assert!(equal(&one[0], &one[1]) && !equal(&other[0], &other[1]) && equal(&other[0], &other[0]));
    }

    #[test]
    fn no_text_exhausts_the_stack() {
        let nested = |inner: &str| format!("{}{inner}{}", "[".repeat(20_000), "]".repeat(20_000));
        assert!(merge(&nested("1"), &nested("2"), &nested("3")).is_err());
        let open = "[".repeat(256 * 1024);
        assert!(merge(&open, "[", "[[").is_err());
        let objects = |inner: &str| format!("{}{inner}{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
        assert!(merge(&objects("1"), &objects("2"), &objects("3")).is_err());
    }

    #[test]
    fn what_is_no_json_is_a_conflict() {
        for text in ["", "{", "[1", "{\"a\"}", "nul", "{\"a\":1,}"] {
            assert!(merge("{}", text, text).is_err(), "{text}");
        }
    }
}
