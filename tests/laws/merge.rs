//! A merge has both sides' changes, invents none, and what it gives is JSON.

use drey_core::sync::{equal, merge};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn leaves() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~é😀\n]{0,6}".prop_map(Value::from),
    ]
}

/// Documents as API tools have them: objects, lists with ids, lists without.
fn documents() -> impl Strategy<Value = Value> {
    leaves().prop_recursive(4, 40, 5, |inner| {
        let identified = prop::collection::btree_map("[a-e]", inner.clone(), 0..4).prop_map(|elements| {
            Value::Array(elements.into_iter().map(|(id, value)| json!({ "id": id, "value": value })).collect())
        });
        prop_oneof![
            prop::collection::btree_map("[a-f/~]{1,2}", inner.clone(), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
            identified,
            prop::collection::vec(inner, 0..3).prop_map(Value::Array),
        ]
    })
}

fn written(value: &Value, is_wide: bool) -> String {
    if is_wide { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }.expect("json")
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map("[a-z]{1,3}", documents(), 0..6).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn who_changed_nothing_gets_the_other_sides_bytes(base in documents(), x in documents(), wide in any::<bool>()) {
        let (base, x) = (written(&base, wide), written(&x, !wide));
        prop_assert_eq!(merge(&base, &base, &x), Ok(x.clone()));
        prop_assert_eq!(merge(&base, &x, &base), Ok(x.clone()));
        prop_assert_eq!(merge(&base, &x, &x), Ok(x));
    }

    #[test]
    fn what_was_only_written_otherwise_is_no_change(base in documents(), x in documents()) {
        let merged = merge(&written(&base, false), &written(&base, true), &written(&x, false)).expect("one side's");
        prop_assert!(equal(&merged, &written(&x, true)));
        let merged = merge(&written(&base, false), &written(&x, true), &written(&base, true)).expect("one side's");
        prop_assert!(equal(&merged, &written(&x, true)));
    }

    #[test]
    fn a_merge_is_json_whoever_comes_first(base in documents(), mine in documents(), theirs in documents(), wide in any::<bool>()) {
        let (base, mine, theirs) = (written(&base, wide), written(&mine, false), written(&theirs, wide));
        let (one, other) = (merge(&base, &mine, &theirs), merge(&base, &theirs, &mine));
        prop_assert_eq!(one.is_ok(), other.is_ok());
        if let (Ok(one), Ok(other)) = (one, other) {
            prop_assert!(serde_json::from_str::<Value>(&one).is_ok(), "{}", one);
            prop_assert!(equal(&one, &other), "{} {}", one, other);
        }
    }

    #[test]
    fn a_merge_again_changes_nothing(base in documents(), mine in documents(), theirs in documents()) {
        let [base, mine, theirs] = [base, mine, theirs].map(|value| written(&value, true));
        if let Ok(merged) = merge(&base, &mine, &theirs) {
            prop_assert_eq!(merge(&base, &mine, &merged), Ok(merged.clone()));
            prop_assert_eq!(merge(&theirs, &merged, &theirs), Ok(merged));
        }
    }

    #[test]
    fn disjoint_edits_are_both_in_it_and_the_rest_keeps_its_bytes(base in object(), mine in object(), theirs in object()) {
        // Each side changes members under its own names; `kept` is nobody's.
        let side = |name: &str, edits: &Map<String, Value>| {
            let mut document = json!({ "kept": base, "mine": base, "theirs": base });
            document[name] = Value::Object(edits.clone());
            document
        };
        let (mine_text, theirs_text) = (written(&side("mine", &mine), false), written(&side("theirs", &theirs), true));
        let merged = merge(&written(&side("kept", &base), false), &mine_text, &theirs_text).expect("disjoint");
        let read: Value = serde_json::from_str(&merged).expect("json");
        prop_assert_eq!(&read["mine"], &Value::Object(mine));
        prop_assert_eq!(&read["theirs"], &Value::Object(theirs));
        let kept = |text: &str| text.split("\"mine\"").next().map(str::to_owned);
        prop_assert_eq!(kept(&merged), kept(&theirs_text));
    }

    #[test]
    fn no_text_breaks_it(base in "[\\[\\]{}\",:a1 ]{0,12}", mine in "[\\[\\]{}\",:a1 ]{0,12}", theirs in "[\\[\\]{}\",:a1 ]{0,12}") {
        if let Ok(merged) = merge(&base, &mine, &theirs) {
            prop_assert!(serde_json::from_str::<Value>(&merged).is_ok());
        }
    }
}
