//! What becomes of the mutations of a push that met a stale base.
//!
//! In scope: causally later, merged, or diverged, for each mutation in its order, as many as one call can bear. Out of scope:
//! whether what stood still stands, which the database checks when it applies the decisions.
//!
//! A write is only taken for a later one when its clock names the very mutation that stands. Vectors alone would not do: once the
//! author of what stands is forgotten and pruned from both, a stale clock would look like a later one, and overwrite silently.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Causality, Clock, Mutation, check_value, equal, merge};

/// What stands where a mutation is stale, as `sync_push` answers it.
#[derive(Clone, Debug, Deserialize)]
pub struct Standing<'a> {
    /// The mutation.
    pub id: i64,
    /// The entity's version; 0 if it never was.
    pub version: i64,
    /// Its value; none if it is deleted.
    #[serde(borrow)]
    pub value: Option<&'a RawValue>,
    /// Its clock.
    pub clock: Clock,
    /// Who wrote it, by client and mutation; none if nobody did.
    #[serde(borrow)]
    pub client_id: Option<Cow<'a, str>>,
    /// See `client_id`.
    pub mutation_id: Option<i64>,
    /// The value of the mutation's base; none if it was deleted, or is unknown.
    #[serde(borrow)]
    pub base: Option<&'a RawValue>,
    /// Whether the log still has the base.
    pub base_known: bool,
    /// The clients of both clocks that the database knows no more.
    #[serde(borrow)]
    pub forgotten: BTreeSet<Cow<'a, str>>,
}

/// What is to become of one mutation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It is written as it came.
    Apply,
    /// This is written instead, none for a delete: it has both sides' changes.
    Merge(Option<Cow<'a, str>>),
    /// What stands stays, and both sides are kept for somebody to choose.
    Diverge,
}

/// A verdict and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The mutation.
    pub id: i64,
    /// What is to become of it.
    pub verdict: Verdict<'a>,
    /// The version of its entity that this was decided for; none where only the base of the mutation counts.
    pub expect_version: Option<i64>,
    /// The clock of what is written: of a merge, what either side had seen.
    pub clock: Clock,
}

/// The most bytes of texts that one call compares: as many as Postgres tells at a time. So its answer, which has what stands
/// or what was merged, is no larger. A small mutation may stand against a large entity: 500 of them would make 128 MiB.
const MOST_COMPARED: usize = 4 * 1024 * 1024;

/// A value, or none for what is deleted.
type Text<'a> = Option<Cow<'a, str>>;

/// An entity while the mutations of one push go over it.
struct Chain<'a> {
    /// What the client had before its next mutation.
    mine: Text<'a>,
    /// What stands before its next mutation.
    current: Text<'a>,
    clock: Clock,
    expect_version: Option<i64>,
}

/// Decides for the mutations of one client, in their order; none of them is rejected. Those that are not in `standing` are current.
/// The last ones are left out where all would be too much: they are to be pushed again.
#[must_use]
pub fn decide<'a>(mutations: &[&'a Mutation<'a>], standing: &'a [Standing<'a>]) -> Vec<Decision<'a>> {
    let stale: BTreeMap<i64, &Standing<'_>> = standing.iter().map(|one| (one.id, one)).collect();
    let mut chains: BTreeMap<[&str; 4], Chain<'a>> = BTreeMap::new();
    let mut decisions = Vec::with_capacity(mutations.len());
    let mut compared = 0_usize;
    for mutation in mutations {
        let stale = stale.get(&mutation.id).copied();
        compared = compared.saturating_add(weight(mutation, chains.get(&entity(mutation)), stale));
        if compared > MOST_COMPARED && !decisions.is_empty() {
            break;
        }
        let (verdict, chain) = match chains.remove(&entity(mutation)) {
            Some(chain) => follow(mutation, chain, stale),
            None => begin(mutation, stale),
        };
        let clock = if matches!(verdict, Verdict::Merge(_)) { &chain.clock } else { &mutation.clock }.clone();
        decisions.push(Decision { id: mutation.id, verdict, expect_version: None, clock });
        chains.insert(entity(mutation), chain);
    }
    // What an entity's mutations became rests on one another: they hold together or not at all.
    for (decision, mutation) in decisions.iter_mut().zip(mutations) {
        decision.expect_version = chains.get(&entity(mutation)).and_then(|chain| chain.expect_version);
    }
    decisions
}

fn entity<'a>(mutation: &'a Mutation<'_>) -> [&'a str; 4] {
    [&mutation.scope.scope_type, &mutation.scope.id, &mutation.entity.entity_type, &mutation.entity.id]
}

fn value<'a>(mutation: &'a Mutation<'a>) -> Text<'a> {
    mutation.value.map(|value| Cow::Borrowed(value.get()))
}

/// The bytes of the texts that have to be compared for it.
fn weight(mutation: &Mutation<'_>, chain: Option<&Chain<'_>>, stale: Option<&Standing<'_>>) -> usize {
    let of = |texts: [Option<&str>; 2]| {
        texts.into_iter().flatten().chain(mutation.value.map(RawValue::get)).map(str::len).sum()
    };
    match (chain, stale) {
        (Some(chain), _) if chain.mine != chain.current => of([chain.mine.as_deref(), chain.current.as_deref()]),
        (None, Some(stale)) => of([stale.base, stale.value].map(|value| value.map(RawValue::get))),
        (Some(_), _) | (None, None) => 0,
    }
}

/// The first mutation of an entity.
fn begin<'a>(mutation: &'a Mutation<'a>, stale: Option<&'a Standing<'a>>) -> (Verdict<'a>, Chain<'a>) {
    let mine = value(mutation);
    let Some(stale) = stale else {
        let chain = Chain { current: mine.clone(), mine, clock: mutation.clock.clone(), expect_version: None };
        return (Verdict::Apply, chain);
    };
    let theirs = stale.value.map(|value| Cow::Borrowed(value.get()));
    let verdict = if is_later(mutation, stale) {
        Verdict::Apply
    } else {
        let base = stale.base.map(|value| Cow::Borrowed(value.get()));
        judge(mutation, stale.base_known.then_some(base), &mine, &theirs)
    };
    let chain = Chain { mine: None, current: theirs, clock: stale.clock.clone(), expect_version: Some(stale.version) };
    (verdict.clone(), advance(mutation, chain, &verdict))
}

/// A further mutation of an entity: its base is the client's own before it.
fn follow<'a>(mutation: &'a Mutation<'a>, chain: Chain<'a>, stale: Option<&Standing<'_>>) -> (Verdict<'a>, Chain<'a>) {
    let verdict = if chain.mine == chain.current {
        Verdict::Apply
    } else {
        judge(mutation, Some(chain.mine.clone()), &value(mutation), &chain.current)
    };
    let expect_version = chain.expect_version.or(stale.map(|stale| stale.version));
    (verdict.clone(), advance(mutation, Chain { expect_version, ..chain }, &verdict))
}

fn advance<'a>(mutation: &'a Mutation<'a>, chain: Chain<'a>, verdict: &Verdict<'a>) -> Chain<'a> {
    let mine = value(mutation);
    match verdict {
        Verdict::Apply => Chain { current: mine.clone(), mine, clock: mutation.clock.clone(), ..chain },
        Verdict::Merge(merged) => {
            Chain { current: merged.clone(), mine, clock: mutation.clock.joined(&chain.clock), ..chain }
        }
        Verdict::Diverge => Chain { mine, ..chain },
    }
}

/// Whether the mutation was made by somebody who had seen what stands.
fn is_later(mutation: &Mutation<'_>, stale: &Standing<'_>) -> bool {
    let (Some(client), Some(id)) = (&stale.client_id, stale.mutation_id) else { return false };
    let forgotten = stale.forgotten.iter().map(Cow::as_ref).collect();
    let [mine, theirs] = [&mutation.clock, &stale.clock].map(|clock| clock.pruned(&forgotten));
    mutation.clock.seen(client) >= id && matches!(mine.compare(&theirs), Causality::After | Causality::Equal)
}

/// What two concurrent writes come to; a base of `None` is not known.
fn judge<'a>(mutation: &Mutation<'_>, base: Option<Text<'a>>, mine: &Text<'a>, theirs: &Text<'a>) -> Verdict<'a> {
    let merged = match (mine, theirs) {
        (None, None) => None,
        (Some(mine), Some(theirs)) if equal(mine, theirs) => Some(theirs.clone()),
        _ => {
            let Some(base) = base else { return Verdict::Diverge };
            match three_way(&base, mine, theirs) {
                Some(merged) => merged,
                None => return Verdict::Diverge,
            }
        }
    };
    if merged == *mine {
        return Verdict::Apply;
    }
    // Two harmless values may make one that is too large, or a secret with its value.
    let stored = |text: &str| {
        serde_json::from_str::<&RawValue>(text)
            .is_ok_and(|value| check_value(&mutation.entity.entity_type, value).is_ok())
    };
    let fits = merged.as_deref().is_none_or(stored);
    if fits { Verdict::Merge(merged) } else { Verdict::Diverge }
}

/// The merged value (none: deleted), or none where both sides changed the same.
fn three_way<'a>(base: &Text<'a>, mine: &Text<'a>, theirs: &Text<'a>) -> Option<Text<'a>> {
    let same = |one: &Text<'_>, other: &Text<'_>| match (one, other) {
        (Some(one), Some(other)) => equal(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    match (base, mine, theirs) {
        (Some(base), Some(mine), Some(theirs)) => merge(base, mine, theirs).ok().map(|text| Some(Cow::Owned(text))),
        _ if same(base, theirs) => Some(mine.clone()),
        _ if same(base, mine) => Some(theirs.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutation(id: i64, base: &str, clock: &str, value: &str) -> String {
        let (op, value) =
            if value.is_empty() { ("delete", String::new()) } else { ("upsert", format!(r#","value":{value}"#)) };
        format!(
            r#"{{"id":{id},"scope":{{"type":"collection","id":"c"}},"entity":{{"type":"variable","id":"v"}},"op":"{op}","base_version":{base},"clock":{clock}{value}}}"#
        )
    }

    /// What `sync_push` answers of a stale mutation: the names are fixed, a Worker reads those of the next migration.
    fn standing(id: i64, value: &str, base: &str) -> String {
        format!(
            r#"{{"id":{id},"outcome":"stale","version":9,"value":{value},"clock":{{"b":4,"gone":2}},"client_id":"b","mutation_id":4,"deleted":false,"base":{base},"base_known":true,"forgotten":["gone"]}}"#
        )
    }

    fn decided(mutations: &[String], standings: &[String]) -> Vec<(String, Option<i64>)> {
        let mutations: Vec<Mutation<'_>> =
            mutations.iter().map(|text| serde_json::from_str(text).expect("mutation")).collect();
        let standings: Vec<Standing<'_>> =
            standings.iter().map(|text| serde_json::from_str(text).expect("standing")).collect();
        let text = |decision: Decision<'_>| {
            let verdict = match decision.verdict {
                Verdict::Apply => "apply".to_owned(),
                Verdict::Merge(value) => format!("merge {}", value.unwrap_or_default()),
                Verdict::Diverge => "diverge".to_owned(),
            };
            (verdict, decision.expect_version)
        };
        decide(&mutations.iter().collect::<Vec<_>>(), &standings).into_iter().map(text).collect()
    }

    fn one(clock: &str, value: &str, theirs: &str, base: &str) -> String {
        let [decision] =
            decided(&[mutation(3, "5", clock, value)], &[standing(3, theirs, base)]).try_into().expect("one");
        assert_eq!(decision.1, Some(9));
        decision.0
    }

    #[test]
    fn a_write_that_has_seen_what_stands_is_later_and_no_other_is() {
        let decide = |clock: &str| one(clock, r#"{"a":2}"#, r#"{"a":3}"#, r#"{"a":1}"#);
        assert_eq!(decide(r#"{"me":3,"b":4}"#), "apply");
        assert_eq!(decide(r#"{"me":3,"b":3}"#), "diverge");
        assert_eq!(decide(r#"{"me":3}"#), "diverge");
        assert_eq!(decide(r#"{"me":3,"gone":9}"#), "diverge");
    }

    #[test]
    fn concurrent_writes_merge_or_diverge() {
        let decide = |value: &str, theirs: &str, base: &str| one(r#"{"me":3}"#, value, theirs, base);
        assert_eq!(decide(r#"{"a":1,"m":1}"#, r#"{"a":1,"t":1}"#, r#"{"a":1}"#), r#"merge {"a":1,"t":1,"m":1}"#);
        assert_eq!(decide(r#"{"a":1.0}"#, r#"{"a":1}"#, "null"), r#"merge {"a":1}"#);
        assert_eq!(decide("", "null", "null"), "apply");
        assert_eq!(decide("", r#"{"a":2}"#, r#"{"a":1}"#), "diverge");
        assert_eq!(decide(r#"{"a":2}"#, "null", r#"{"a":1}"#), "diverge");
        assert_eq!(decide(r#"{"a":1.0}"#, "null", r#"{"a":1}"#), "merge ");
        assert_eq!(
            decide(
                r#"{"secret":true,"value":""}"#,
                r#"{"secret":false,"value":"s"}"#,
                r#"{"secret":false,"value":""}"#
            ),
            "diverge"
        );
    }

    #[test]
    fn mutations_of_one_entity_build_on_each_other() {
        let mine = [
            mutation(3, "5", r#"{"me":3}"#, r#"{"a":1,"b":2}"#),
            mutation(4, "5", r#"{"me":4}"#, r#"{"a":1,"b":3}"#),
            mutation(5, "5", r#"{"me":5}"#, r#"{"a":7,"b":3}"#),
            mutation(6, "5", r#"{"me":6}"#, r#"{"a":7,"b":4}"#),
        ];
        let stale: Vec<String> = (3..=6).map(|id| standing(id, r#"{"a":2,"b":1}"#, r#"{"a":1,"b":1}"#)).collect();
        let expected = [r#"merge {"a":2,"b":2}"#, r#"merge {"a":2,"b":3}"#, "diverge", r#"merge {"a":2,"b":4}"#];
        assert_eq!(decided(&mine, &stale), expected.map(|text| (text.to_owned(), Some(9))));
        // One that is current stands with those after it that are not.
        assert_eq!(decided(&mine[..2], &stale[1..2]), ["apply", "apply"].map(|text| (text.to_owned(), Some(9))));
        assert_eq!(decided(&mine[..2], &[]), ["apply", "apply"].map(|text| (text.to_owned(), None)));
    }

    /// Only the first of them is stale to Postgres; the others name the version that stands.
    #[test]
    fn small_edits_of_a_large_entity_are_decided_some_at_a_time() {
        let theirs = format!(r#"{{"a":1,"t":"{}"}}"#, "x".repeat(200_000));
        let mine: Vec<String> =
            (3..=500).map(|id| mutation(id, "5", r#"{"me":3}"#, &format!(r#"{{"a":1,"m":{id}}}"#))).collect();
        let decided = decided(&mine, &[standing(3, &theirs, r#"{"a":1}"#)]);
        assert_eq!(decided.len(), MOST_COMPARED / 200_000);
        assert!(decided.iter().all(|(verdict, version)| verdict.starts_with("merge") && *version == Some(9)));
        // What fits nowhere else is decided alone.
        let huge = format!(r#"{{"a":1,"t":"{}"}}"#, "x".repeat(MOST_COMPARED));
        assert_eq!(self::decided(&mine, &[standing(3, &huge, r#"{"a":1}"#)]).len(), 1);
    }

    #[test]
    fn only_a_merge_has_seen_what_stands() {
        let clocks = |theirs: &str| {
            let text = mutation(3, "5", r#"{"me":3}"#, r#"{"a":1,"m":1}"#);
            let mutation: Mutation<'_> = serde_json::from_str(&text).expect("mutation");
            let text = standing(3, theirs, r#"{"a":1}"#);
            let standing: Standing<'_> = serde_json::from_str(&text).expect("standing");
            let decisions = decide(&[&mutation], std::slice::from_ref(&standing));
            serde_json::to_string(&decisions.first().expect("one").clock).expect("json")
        };
        assert_eq!(clocks(r#"{"a":1,"t":1}"#), r#"{"b":4,"gone":2,"me":3}"#);
        assert_eq!(clocks(r#"{"a":1,"m":2}"#), r#"{"me":3}"#);
    }

    #[test]
    fn without_its_base_nothing_merges() {
        let stale = standing(3, r#"{"a":1,"t":1}"#, "null").replace(r#""base_known":true"#, r#""base_known":false"#);
        let [decision] = decided(&[mutation(3, "5", "{}", r#"{"a":1}"#)], &[stale]).try_into().expect("one");
        assert_eq!(decision.0, "diverge");
    }
}
