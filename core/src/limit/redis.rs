//! The same buckets in a Redis: what to send, and what an answer says.
//!
//! In scope: the script (`gcra.lua`), its keys and arguments, and the check of its reply. Out of scope: sending it.
//!
//! Redis answers states and not decisions, in durations: views, waits and policies are made of them by the same code as
//! in a gate. An answer that no such bucket can have given is none.

use serde::{Deserialize, Serialize};

use super::bucket::{deny, nearest, refusal};
use super::{Bucket, BucketSpec, Charge, Mark, Stored, Wish};

/// The script as Redis runs it.
pub const SCRIPT: &str = include_str!("gcra.lua");

/// A bucket that was made under other settings may be fuller or blocked for longer than the present ones allow, but not
/// for longer than a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What a gate leaves to be charged in Redis, by the settings that hold for this caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// What the request costs.
    pub cost: u32,
    /// Tokens the isolate would spend in the next second; 0 in tiers that are not leased.
    pub wanted: u32,
    /// Tokens the isolate still holds.
    pub held: u32,
    /// The buckets, the caller's own first.
    pub buckets: Vec<NamedBucket>,
}

/// A bucket under its name in the gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedBucket {
    /// See [`super::bucket_name`].
    pub name: String,
    /// What it holds and how fast it fills.
    pub spec: BucketSpec,
    /// Whether its policy only counts what it would refuse.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_shadow: bool,
}

/// What came of a charge in Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charged {
    /// As a gate would say it.
    pub charge: Charge,
    /// Tokens beyond the cost.
    pub extra: u32,
    /// The policies in shadow that would have refused.
    pub shadow: Vec<String>,
}

impl Due {
    /// What to charge for a request and for a lease. No more is wanted than an isolate may be given.
    #[must_use]
    pub fn new(cost: u32, wish: Wish, buckets: Vec<NamedBucket>) -> Self {
        let share = share(&buckets, wish.held).min(u64::from(wish.wanted));
        Self { cost, wanted: u32::try_from(share).unwrap_or(u32::MAX), held: wish.held, buckets }
    }
}

/// An eighth of the smallest bucket, less what the isolate holds: see [`super::charge_up_to`].
fn share(buckets: &[NamedBucket], held: u32) -> u64 {
    let eighth = buckets.iter().map(|bucket| bucket.spec.lease_share()).min().unwrap_or_default();
    eighth.saturating_sub(u64::from(held))
}

/// The key of a bucket. The hash tag keeps the buckets of a gate in one place of a cluster, as one script needs them.
#[must_use]
pub fn bucket_key(environment: &str, gate: &str, bucket: &str) -> String {
    format!("drey:{environment}:limit:{{{gate}}}:{bucket}")
}

/// The `EVAL` that charges all that is due at a gate.
#[must_use]
pub fn command(environment: &str, gate: &str, due: &Due) -> Vec<String> {
    let mut command = vec!["EVAL".to_owned(), SCRIPT.to_owned(), due.buckets.len().to_string()];
    command.extend(due.buckets.iter().map(|bucket| bucket_key(environment, gate, &bucket.name)));
    command.extend([due.cost, due.wanted, due.held].map(|number| number.to_string()));
    let numbers = |NamedBucket { spec, is_shadow, .. }: &NamedBucket| {
        [spec.interval_us(), spec.tolerance_us(), spec.burst, spec.block_ms, u64::from(*is_shadow)]
    };
    command.extend(due.buckets.iter().flat_map(numbers).map(|number| number.to_string()));
    command
}

/// What a bucket of the reply says: microseconds until it is full, milliseconds until its block ends, whether it is in
/// shadow and would have refused.
type State = [u64; 3];

/// What came of it. `None` for an answer that is impossible.
#[must_use]
pub fn read(due: &Due, reply: &[u64]) -> Option<Charged> {
    let (&[paid, extra], states) = reply.split_first_chunk::<2>()?;
    let (mut buckets, shadow) = told(due, states)?;
    let charge = match paid {
        1 => paid_for(due, &buckets, extra)?,
        0 if extra == 0 => deny(&mut buckets, 0, due.cost)?,
        _ => return None,
    };
    let names = buckets.iter().zip(shadow).filter(|(_, refuses)| *refuses).map(|(bucket, _)| bucket.policy());
    Some(Charged { charge, extra: u32::try_from(extra).ok()?, shadow: names.collect() })
}

/// What to ask of the same buckets to charge nothing: an answer to it is read by [`refusal_of`].
#[must_use]
pub fn look(due: &Due) -> Due {
    Due { cost: 0, wanted: 0, ..due.clone() }
}

/// What would refuse the call that is due, by an answer to [`look`]; none if nothing would, or the answer is impossible.
#[must_use]
pub fn refusal_of(due: &Due, reply: &[u64]) -> Option<Charge> {
    let (_, states) = reply.split_first_chunk::<2>()?;
    let (buckets, _) = told(due, states)?;
    refusal(&buckets, 0, due.cost)
}

/// The buckets as the reply has them, and which of them are in shadow and would have refused.
fn told(due: &Due, states: &[u64]) -> Option<(Vec<Bucket>, Vec<bool>)> {
    let (states, []) = states.as_chunks::<3>() else { return None };
    if states.len() != due.buckets.len() {
        return None;
    }
    let told = due.buckets.iter().zip(states);
    told.map(|(bucket, state)| Some((possible(bucket, state)?, would_refuse(bucket, state)?))).collect()
}

/// Only a bucket in shadow only would have refused.
const fn would_refuse(bucket: &NamedBucket, [.., refuses]: &State) -> Option<bool> {
    match *refuses {
        0 => Some(false),
        1 if bucket.is_shadow => Some(true),
        _ => None,
    }
}

/// The bucket as it stands at the time 0.
fn possible(NamedBucket { spec, is_shadow, .. }: &NamedBucket, &[missing_us, block_ms, _]: &State) -> Option<Bucket> {
    let missing = missing_us <= spec.tolerance_us().max(DAY_MS * 1000);
    let blocked = block_ms <= spec.block_ms.max(DAY_MS);
    let stored = Stored { mark: Mark(missing_us), block_until_ms: block_ms };
    (missing && blocked).then(|| Bucket::restart(*spec, stored).in_shadow(*is_shadow))
}

/// Nothing is paid from a bucket that is blocked or holds too little, and no isolate is given more than its share. Only
/// buckets in shadow let such a request pass.
fn paid_for(due: &Due, buckets: &[Bucket], extra: u64) -> Option<Charge> {
    let overdrawn = due.buckets.iter().zip(buckets).filter(|(named, _)| !named.is_shadow).any(|(_, bucket)| {
        let Stored { mark: Mark(missing_us), block_until_ms } = bucket.stored();
        block_until_ms > 0 || missing_us > bucket.spec().tolerance_us()
    });
    if overdrawn || extra > share(&due.buckets, due.held).min(u64::from(due.wanted)) {
        return None;
    }
    Some(Charge::Allowed { view: nearest(buckets, 0)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{BucketKind, Limits, Tier};
    use crate::role::Plan;

    fn due() -> Due {
        let spec = |kind| Limits::default().bucket(Tier::Standard, kind, Plan::Free);
        let named = |name: &str, kind| NamedBucket { name: name.to_owned(), spec: spec(kind), is_shadow: false };
        let buckets = vec![
            named("principal/standard/user_1", BucketKind::Principal),
            named("workspace/standard/", BucketKind::Workspace),
        ];
        Due { cost: 2, wanted: 9, held: 3, buckets }
    }

    /// Another key is another bucket, full; another order is another script's.
    #[test]
    fn the_command_is_fixed() {
        let command = command("staging", "org:org_1", &due());
        assert_eq!(command.first().map(String::as_str), Some("EVAL"));
        let expected = "2 drey:staging:limit:{org:org_1}:principal/standard/user_1 \
                        drey:staging:limit:{org:org_1}:workspace/standard/ \
                        2 9 3 600000 60000000 100 60000 0 30000 60000000 2000 0 0";
        assert_eq!(command[2..].join(" "), expected);
    }

    #[test]
    fn no_isolate_wants_more_than_its_share() {
        let wanted = |wanted, held| Due::new(1, Wish { wanted, held }, due().buckets).wanted;
        assert_eq!([wanted(5, 0), wanted(99, 0), wanted(99, 10), wanted(99, 13)], [5, 12, 2, 0]);
    }

    #[test]
    fn an_answer_becomes_what_a_gate_would_say() {
        let Some(Charged { charge: Charge::Allowed { view }, extra: 9, .. }) =
            read(&due(), &[1, 9, 6_600_000, 0, 0, 330_000, 0, 0])
        else {
            unreachable!("it was paid")
        };
        assert_eq!((&*view.policy, view.remaining, view.reset_s), ("standard", 89, 7));
        let Some(Charged { charge: Charge::Denied { retry_after_ms, policies, view }, extra: 0, .. }) =
            read(&due(), &[0, 0, 59_000_000, 60_000, 0, 60_000_000, 0, 0])
        else {
            unreachable!("it was refused")
        };
        assert_eq!(policies, ["standard", "standard-workspace"]);
        assert_eq!((retry_after_ms, &*view.policy, view.reset_s), (60_000, "standard", 60));
    }

    #[test]
    fn who_only_looks_charges_nothing_and_is_told_what_would_refuse() {
        let looked = command("staging", "org:org_1", &look(&due()));
        assert_eq!(looked.get(5..8).map(<[String]>::concat), Some("003".to_owned()), "no cost, no wish");
        let there = refusal_of(&due(), &[1, 0, 58_800_000, 0, 0, 0, 0, 0]);
        assert_eq!(there, None, "two tokens are left, and two are due");
        let refused = refusal_of(&due(), &[1, 0, 59_400_000, 0, 0, 0, 0, 0]);
        assert!(
            matches!(refused, Some(Charge::Denied { retry_after_ms: 600, policies, .. }) if policies == ["standard"])
        );
        assert_eq!(refusal_of(&due(), &[1, 0, 1]), None);
    }

    #[test]
    fn a_bucket_in_shadow_is_named_and_lets_pass() {
        let mut due = due();
        due.buckets[0].is_shadow = true;
        let read = |reply: &[u64]| read(&due, reply);
        let Some(Charged { charge: Charge::Allowed { view }, extra: 0, shadow }) =
            read(&[1, 0, 60_000_000, 60_000, 1, 330_000, 0, 0])
        else {
            unreachable!("it was paid")
        };
        assert_eq!((&*view.policy, shadow), ("standard-workspace", vec!["standard".to_owned()]));
        // It refuses nothing: somebody else must have.
        assert_eq!(read(&[0, 0, 60_000_000, 60_000, 1, 330_000, 0, 0]), None);
        assert_eq!(read(&[1, 0, 60_000_000, 60_000, 2, 330_000, 0, 0]), None);
    }

    #[test]
    fn what_no_bucket_can_say_is_no_answer() {
        let day_us = DAY_MS * 1000;
        let impossible: [&[u64]; 11] = [
            &[],
            &[1],
            &[1, 0, 0, 0, 0],
            &[1, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 0],
            &[1, 10, 0, 0, 0, 0, 0, 0],
            &[1, 0, 60_000_001, 0, 0, 0, 0, 0],
            &[1, 0, 0, 1, 0, 0, 0, 0],
            &[1, 0, 0, 0, 1, 0, 0, 0],
            &[0, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, day_us + 1, 0, 0, 0, 0, 0],
        ];
        for reply in impossible {
            assert_eq!(read(&due(), reply), None, "{reply:?}");
        }
    }

    #[test]
    fn the_shape_of_what_is_due_is_fixed() {
        let mut due = due();
        due.buckets.truncate(1);
        let text = r#"{"cost":2,"wanted":9,"held":3,"buckets":[{"name":"principal/standard/user_1","spec":{"tier":"standard","kind":"principal","limit":100,"window_ms":60000,"burst":100,"block_ms":60000}}]}"#;
        assert_eq!(serde_json::to_string(&due).expect("json"), text);
        assert_eq!(serde_json::from_str::<Due>(text).expect("due"), due);
    }
}
