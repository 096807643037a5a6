//! What a gate answers: a grant to hold for a while, or a denial to hold until it is over.
//!
//! In scope: the shapes between gate and isolate, in durations, never in instants. Out of scope: keeping them.

mod purse;

pub use purse::{Purse, Spend};

use serde::{Deserialize, Serialize};

use crate::id::OrgId;
use crate::limit::redis::Due;
use crate::limit::{Charge, LimitView};
use crate::role::{Plan, Region};
use crate::settings::Stored;

/// A grant: who the caller is here, and how much he may spend before asking again. Both leases count from the moment
/// the request for them was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The caller's role in the workspace or organisation, as its text.
    pub role: String,
    /// The organisation; none at the gates of users and of callers without a credential.
    pub org: Option<OrgId>,
    /// What the organisation pays for.
    pub plan: Plan,
    /// Where the organisation lives.
    pub region: Region,
    /// The newest revision the gate knows.
    pub revision: i64,
    /// The newest epoch of narrowed access the gate knows; a lower one is never applied.
    pub authz_epoch: i64,
    /// For how long role, revision and epoch hold, in milliseconds; at most 1000.
    pub workspace_lease_ms: u64,
    /// Requests already paid for, this one included; at least 1.
    pub tokens: u32,
    /// For how long the other tokens hold, in milliseconds; at most 5000, and 0 in the strict tier.
    pub tokens_ms: u64,
    /// What headers show.
    pub view: LimitView,
    /// While Postgres does not answer: for how long, in milliseconds, the gate should have known better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_ms: Option<u64>,
    /// What headers show of the organisation's day; none where no organisation pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<LimitView>,
    /// Where Redis counts: what the isolate charges there before it lets the request pass. Then no tokens come along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Due>,
    /// The most tokens an isolate may go on holding, where it holds more: the limit was lowered meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// The policies in shadow that would have refused this request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<String>,
    /// The platform's settings, for an isolate that knows an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Box<Stored>>,
    /// How often the gate has asked Postgres since its last grant, which this isolate counts for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trips: Option<u64>,
    /// Where the question told of writes: how late the next may be told, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<u64>,
}

/// A denial: the isolate answers by itself until it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// For how long, in milliseconds, from the moment the request was sent.
    pub retry_after_ms: u64,
    /// The names of the policies that refused.
    pub policies: Vec<String>,
    /// What headers show.
    pub view: LimitView,
    /// For how long, in milliseconds, the isolate believes it, where that is shorter: what refused may end before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub believe_ms: Option<u64>,
    /// Where Redis counts: the buckets to look at, so that the refusal names them too if they would refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Due>,
}

/// For how long an isolate believes a refusal of buckets without asking again, in milliseconds: it is part of the 5 s within
/// which a raised limit is effective, whatever it had refused for.
const BELIEVE_MS: u64 = 1_000;

impl Denial {
    /// The refusal of buckets; `None` for a charge that was allowed.
    #[must_use]
    pub fn by_buckets(charge: Charge) -> Option<Self> {
        let Charge::Denied { retry_after_ms, policies, view } = charge else { return None };
        Some(Self { retry_after_ms, policies, view, believe_ms: Some(BELIEVE_MS), due: None })
    }

    /// One refusal of two: it names the policies of both, is over when the later one is, and is believed for as long as
    /// both are.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let lasts_ms = |denial: &Self| denial.believe_ms.unwrap_or(denial.retry_after_ms);
        let believe_ms = Some(lasts_ms(&self).min(lasts_ms(&other)));
        let (longer, shorter) = if other.retry_after_ms > self.retry_after_ms { (other, self) } else { (self, other) };
        let policies = [longer.policies, shorter.policies].concat();
        Self { policies, believe_ms, due: None, ..longer }
    }
}

/// What a gate answers to a request for admission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Admission {
    /// Come in.
    Granted(Grant),
    /// Too much.
    Denied(Denial),
    /// There is no such tenant for this caller.
    NotFound,
    /// The caller has named a revision above any that Postgres knows.
    RevisionUnknown,
    /// The gate cannot vouch for what it knows (it could not refresh).
    Unavailable,
}

impl Admission {
    /// The same, with how late the next writes may be told. A refusal says nothing of it: they are told at once.
    #[must_use]
    pub fn with_late(self, late_ms: Option<u64>) -> Self {
        match self {
            Self::Granted(grant) => Self::Granted(Grant { late_ms, ..grant }),
            refused => refused,
        }
    }
}

impl Grant {
    /// Nobody's, with this to show: no role, no tenant, nothing to hold and nothing to spend.
    #[must_use]
    pub const fn bare(view: LimitView) -> Self {
        Self {
            role: String::new(),
            org: None,
            plan: Plan::Free,
            region: Region::WesternEurope,
            revision: 0,
            authz_epoch: 0,
            workspace_lease_ms: 0,
            tokens: 0,
            tokens_ms: 0,
            view,
            stale_ms: None,
            daily: None,
            due: None,
            most: None,
            shadow: Vec::new(),
            settings: None,
            round_trips: None,
            late_ms: None,
        }
    }

    /// No lease outlives the credential it rests on.
    #[must_use]
    pub fn within_credential(mut self, left_ms: u64) -> Self {
        self.workspace_lease_ms = self.workspace_lease_ms.min(left_ms);
        self.tokens_ms = self.tokens_ms.min(left_ms);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        let view = LimitView { policy: "standard".into(), limit: 100, window_s: 60, remaining: 99, reset_s: 1 };
        Grant {
            role: "editor".to_owned(),
            revision: 7,
            authz_epoch: 2,
            workspace_lease_ms: 1000,
            tokens: 1,
            tokens_ms: 5000,
            ..Grant::bare(view)
        }
    }

    fn denial(retry_after_ms: u64, policy: &str, believe_ms: Option<u64>) -> Denial {
        Denial { retry_after_ms, policies: vec![policy.to_owned()], view: grant().view, believe_ms, due: None }
    }

    #[test]
    fn of_two_refusals_both_are_named_the_later_is_waited_for_and_neither_is_believed_for_too_long() {
        let (day, bucket) = (denial(9_000, "daily", Some(5_000)), denial(600, "standard", None));
        let both = day.clone().and(bucket.clone());
        assert_eq!((both.retry_after_ms, both.believe_ms), (9_000, Some(600)));
        assert_eq!(both.policies, ["daily", "standard"]);
        assert_eq!(bucket.and(day), both);
    }

    /// Worker and object are deployed together, but not in one instant: an old one reads what a new one writes.
    #[test]
    fn the_shape_of_a_grant_is_fixed() {
        let text = r#"{"outcome":"granted","role":"editor","org":null,"plan":"free","region":"weur","revision":7,"authz_epoch":2,"workspace_lease_ms":1000,"tokens":1,"tokens_ms":5000,"view":{"policy":"standard","limit":100,"window_s":60,"remaining":99,"reset_s":1}}"#;
        assert_eq!(serde_json::to_string(&Admission::Granted(grant())).expect("json"), text);
        assert_eq!(serde_json::from_str::<Admission>(text).expect("grant"), Admission::Granted(grant()));
        let stale = Grant { stale_ms: Some(1200), ..grant() };
        let text = text.replace(r#""reset_s":1}}"#, r#""reset_s":1},"stale_ms":1200}"#);
        assert_eq!(serde_json::to_string(&Admission::Granted(stale)).expect("json"), text);
        let due = Due { cost: 1, wanted: 2, held: 3, buckets: Vec::new() };
        let left = text.replace(r#","stale_ms":1200}"#, r#","due":{"cost":1,"wanted":2,"held":3,"buckets":[]}}"#);
        let narrowed = Admission::Granted(Grant { most: Some(12), ..grant() });
        let most = text.replace(r#","stale_ms":1200}"#, r#","most":12}"#);
        assert_eq!(serde_json::to_string(&narrowed).expect("json"), most);
        let left_to_redis = Admission::Granted(Grant { due: Some(due), ..grant() });
        assert_eq!(serde_json::to_string(&left_to_redis).expect("json"), left);
        let counting = Admission::Granted(Grant { round_trips: Some(2), ..grant() });
        let counted = text.replace(r#","stale_ms":1200}"#, r#","round_trips":2}"#);
        assert_eq!(serde_json::to_string(&counting).expect("json"), counted);
        let late = Admission::Granted(grant()).with_late(Some(500));
        let told = text.replace(r#","stale_ms":1200}"#, r#","late_ms":500}"#);
        assert_eq!(serde_json::to_string(&late).expect("json"), told);
        let denial = denial(9, "daily", Some(5));
        let text = r#"{"outcome":"denied","retry_after_ms":9,"policies":["daily"],"view":{"policy":"standard","limit":100,"window_s":60,"remaining":99,"reset_s":1},"believe_ms":5}"#;
        assert_eq!(serde_json::to_string(&Admission::Denied(denial.clone())).expect("json"), text);
        let due = Due { cost: 1, wanted: 0, held: 3, buckets: Vec::new() };
        let left_to_redis = Admission::Denied(Denial { due: Some(due), ..denial });
        let text = text.replace("5}", r#"5,"due":{"cost":1,"wanted":0,"held":3,"buckets":[]}}"#);
        assert_eq!(serde_json::to_string(&left_to_redis).expect("json"), text);
        assert_eq!(serde_json::to_string(&Admission::NotFound).expect("json"), r#"{"outcome":"not-found"}"#);
    }

    #[test]
    fn no_lease_outlives_the_credential() {
        let grant = grant().within_credential(300);
        assert_eq!((grant.workspace_lease_ms, grant.tokens_ms), (300, 300));
    }
}
