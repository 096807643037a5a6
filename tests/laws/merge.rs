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

/// A document with the way each side writes it: the leaves as their author does, the space between by the side.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(String),
    Object(Vec<(String, Tree)>),
    /// Elements known by their ids.
    List(Vec<(String, Tree)>),
}

/// Trees whose leaves have more than one way to be written.
fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop::sample::select(vec!["1.50", "1e2", r#""\u00e9""#, "null", "[ 1,2]", "[]", "12345678901234567890"]);
    let leaf = leaf.prop_map(|text| Tree::Leaf(text.to_owned()));
    leaf.prop_recursive(4, 30, 4, |inner| {
        let named = |names| prop::collection::btree_map(names, inner.clone(), 1..4).prop_map(Vec::from_iter);
        prop_oneof![named("[a-f/~]{1,2}").prop_map(Tree::Object), named("[a-e]").prop_map(Tree::List)]
    })
}

impl Tree {
    /// Its text, with this space wherever space may be.
    fn text(&self, space: &str) -> String {
        let joined = |parts: Vec<String>| parts.join(&format!(",{space}"));
        match self {
            Self::Leaf(text) => text.clone(),
            Self::Object(members) => {
                let member = |(name, tree): &(String, Self)| format!("{}:{space}{}", json!(name), tree.text(space));
                format!("{{{space}{}{space}}}", joined(members.iter().map(member).collect()))
            }
            Self::List(elements) => {
                let element = |(id, tree): &(String, Self)| {
                    format!("{{\"id\":{},{space}\"of\":{}}}", json!(id), tree.text(space))
                };
                format!("[{space}{}{space}]", joined(elements.iter().map(element).collect()))
            }
        }
    }

    /// The same with those leaves anew that `edits` says, in their order; it begins again where it ends.
    fn edited(&self, edits: &mut dyn Iterator<Item = Option<String>>) -> Self {
        let below = |parts: &Vec<(String, Self)>, edits: &mut dyn Iterator<Item = Option<String>>| {
            parts.iter().map(|(name, tree)| (name.clone(), tree.edited(edits))).collect()
        };
        match self {
            Self::Leaf(text) => Self::Leaf(edits.next().flatten().unwrap_or_else(|| text.clone())),
            Self::Object(members) => Self::Object(below(members, edits)),
            Self::List(elements) => Self::List(below(elements, edits)),
        }
    }
}

proptest! {
    #[test]
    fn edits_of_different_leaves_merge_either_way_and_no_other_byte_moves(
        base in trees(), whose in prop::collection::vec(0..4_u8, 1..12), wide in any::<bool>()
    ) {
        // 1: mine, 2: theirs, 3: both, and alike; every edit is a text of its own.
        let of = |sides: &'static [u8]| {
            let whose = whose.clone();
            let edit = move |n: usize| {
                let side = whose.get(n % whose.len()).copied().unwrap_or_default();
                sides.contains(&side).then(|| format!("\"{side}:{n}\""))
            };
            base.edited(&mut (0..).map(edit))
        };
        let (mine, theirs, both) = (of(&[1, 3]), of(&[2, 3]), of(&[1, 2, 3]));
        let (narrow, wide) = if wide { ("", "\n  ") } else { (" ", "") };
        let base = base.text("\t");
        let (mine, theirs, into_theirs, into_mine) =
            (mine.text(narrow), theirs.text(wide), both.text(wide), both.text(narrow));
        let merged = merge(&base, &mine, &theirs).expect("different leaves");
        let reversed = merge(&base, &theirs, &mine).expect("different leaves");
        prop_assert!(equal(&merged, &reversed), "{} {}", merged, reversed);
        prop_assert_eq!(&merged, &into_theirs);
        prop_assert_eq!(&reversed, &into_mine);
        prop_assert_eq!(merge(&base, &mine, &merged), Ok(merged.clone()));
    }

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
    fn what_lies_deeper_than_32_steps_is_one_value(
        levels in prop::collection::vec(any::<bool>(), 0..40), base in object(), mine in object(), theirs in object()
    ) {
        // A level is a member of an object, one step, or an element of a list and a member of that, two.
        let steps: usize = levels.iter().map(|is_list| if *is_list { 2 } else { 1 }).sum();
        let nested = |mine: &Map<String, Value>, theirs: &Map<String, Value>| {
            let inner = json!({ "mine": mine, "theirs": theirs });
            let around = |inner: Value, is_list: &bool| {
                if *is_list { json!([{ "id": 1, "of": inner }]) } else { json!({ "of": inner }) }
            };
            written(&levels.iter().fold(inner, around), false)
        };
        let merged = merge(&nested(&base, &base), &nested(&mine, &base), &nested(&base, &theirs));
        prop_assert_eq!(merged.is_ok(), steps < 32 || mine == base || theirs == base);
        if let Ok(merged) = merged {
            let [merged, expected] = [merged, nested(&mine, &theirs)].map(|text| serde_json::from_str::<Value>(&text).expect("json"));
            prop_assert_eq!(merged, expected);
        }
    }

    #[test]
    fn no_text_breaks_it(base in "[\\[\\]{}\",:a1 ]{0,12}", mine in "[\\[\\]{}\",:a1 ]{0,12}", theirs in "[\\[\\]{}\",:a1 ]{0,12}") {
        if let Ok(merged) = merge(&base, &mine, &theirs) {
            prop_assert!(serde_json::from_str::<Value>(&merged).is_ok());
        }
    }
}
