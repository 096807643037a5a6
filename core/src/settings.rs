//! Settings of the running deployment: what an operator changes without a deploy.
//!
//! In scope: the document, its bounds, and what comes of the environment's numbers, the platform's document and an
//! organisation's, in this order. Out of scope: keeping documents, and telling gates of them.
//!
//! Published bounds can be narrowed and never widened: no document makes a lease longer than the environment's default.

mod ttl;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::limit::{BucketKind, Limits, LimitsOverride, Tier, TierOverride};
use crate::object::Object;
use crate::quota;
pub use ttl::Ttl;
use ttl::TtlOverride;

/// The largest document, in bytes: every gate reads both of its documents at each refresh.
pub const MOST_BYTES: usize = 4096;
/// A base or burst above this is no limit.
const COUNTS: RangeInclusive<u64> = 1..=1_000_000;
/// A window is between a second and an hour.
const WINDOWS_MS: RangeInclusive<u64> = 1_000..=3_600_000;
/// A block lasts an hour at the most.
const BLOCKS_MS: RangeInclusive<u64> = 0..=3_600_000;
/// The factor of a plan.
const FACTORS: RangeInclusive<u64> = 1..=10_000;
/// The cost of a call; a higher one would empty any bucket.
const COSTS: RangeInclusive<u64> = 1..=100;

/// For whom a document counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For everybody.
    Platform,
    /// For one organisation and its workspaces. Routes and key sets are of the Worker, which is shared.
    Org,
}

/// A document. What is absent stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    limits: Option<LimitsOverride>,
    shadow: Option<Vec<String>>,
    routes: Option<BTreeMap<String, RouteOverride>>,
    ttl: Option<TtlOverride>,
}

/// Another tier or cost of a route, by its method and path as in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteOverride {
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<u32>,
}

impl RouteOverride {
    /// Tier and cost of a row that has these by the table.
    #[must_use]
    pub fn over(self, tier: Tier, cost: u32) -> (Tier, u32) {
        (self.tier.unwrap_or(tier), self.cost.unwrap_or(cost))
    }
}

/// Where a document is wrong, and how it would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// A JSON Pointer.
    pub pointer: String,
    /// A sentence.
    pub detail: String,
}

fn wrong(pointer: impl Into<String>, detail: impl Into<String>) -> Result<(), Wrong> {
    Err(Wrong { pointer: pointer.into(), detail: detail.into() })
}

fn within(pointer: &str, value: Option<u64>, range: &RangeInclusive<u64>) -> Result<(), Wrong> {
    match value.filter(|value| !range.contains(value)) {
        Some(_) => wrong(pointer, format!("It is a whole number from {} to {}.", range.start(), range.end())),
        None => Ok(()),
    }
}

impl Settings {
    /// A document that was checked when it was stored. `None` if this version of the code does not understand it: then it
    /// changes nothing.
    #[must_use]
    pub fn stored(text: &str) -> Option<Self> {
        let Object(settings) = serde_json::from_str(text).ok()?;
        Some(settings)
    }

    /// Checks everything that its shape does not say.
    ///
    /// # Errors
    /// [`Wrong`] names the first member that is out of its bounds.
    pub fn check(&self, scope: Scope, is_route: impl Fn(&str) -> bool) -> Result<(), Wrong> {
        if scope == Scope::Org && self.routes.is_some() {
            return wrong("/routes", "Routes are the platform's: an organisation's document has none.");
        }
        check_limits(&self.limits.unwrap_or_default())?;
        for (index, name) in self.shadow.iter().flatten().enumerate() {
            if !is_policy(name) {
                return wrong(format!("/shadow/{index}"), "It is a policy such as `standard` or `strict-address`.");
            }
        }
        for (name, route) in self.routes.iter().flatten() {
            let pointer = format!("/routes/{}", name.replace('~', "~0").replace('/', "~1"));
            if !is_route(name) {
                return wrong(pointer, "It is the method and the path of a limited route, as in `/openapi.json`.");
            }
            if matches!(route.tier, Some(Tier::Anonymous | Tier::SignIn)) {
                return wrong(format!("{pointer}/tier"), "It is strict, standard, relaxed or tickets.");
            }
            within(&format!("{pointer}/cost"), route.cost.map(u64::from), &COSTS)?;
        }
        self.ttl.unwrap_or_default().check(scope)
    }
}

fn check_limits(limits: &LimitsOverride) -> Result<(), Wrong> {
    let tiers = [
        (Tier::Strict, limits.strict),
        (Tier::Standard, limits.standard),
        (Tier::Relaxed, limits.relaxed),
        (Tier::Tickets, limits.tickets),
        (Tier::Anonymous, limits.anonymous),
        (Tier::SignIn, limits.sign_in),
    ];
    for (tier, given) in tiers {
        let TierOverride { base, window_ms, burst, block_ms, .. } = given.unwrap_or_default();
        let fields = [
            ("base", base, COUNTS),
            ("window_ms", window_ms, WINDOWS_MS),
            ("burst", burst, COUNTS),
            ("block_ms", block_ms, BLOCKS_MS),
        ];
        for (field, value, range) in fields {
            within(&format!("/limits/{tier}/{field}"), value.map(u64::from), &range)?;
        }
    }
    let plans = limits.plans.unwrap_or_default();
    let factors =
        [("free", plans.free), ("team", plans.team), ("business", plans.business), ("enterprise", plans.enterprise)];
    for (plan, factor) in factors {
        within(&format!("/limits/plans/{plan}"), factor.map(u64::from), &FACTORS)?;
    }
    within("/limits/daily/base", limits.daily.map(|daily| u64::from(daily.base)), &(1..=u64::from(u32::MAX)))
}

/// Whether there is a policy of this name: a tier, a tier with whose bucket it is, or the day.
fn is_policy(name: &str) -> bool {
    let tier = |name: &str| Tier::parse(name).is_some();
    let shared = [BucketKind::Address, BucketKind::Workspace];
    let of_others =
        |kind: &BucketKind| name.strip_suffix(kind.as_str()).and_then(|rest| rest.strip_suffix('-')).is_some_and(tier);
    name == quota::POLICY || tier(name) || shared.iter().any(of_others)
}

/// What holds: the environment's numbers with the documents over them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// The limits.
    pub limits: Limits,
    /// The policies in shadow.
    pub shadow: Vec<String>,
    /// Routes that differ from the table.
    pub routes: BTreeMap<String, RouteOverride>,
    /// How long things are held.
    pub ttl: Ttl,
}

impl Effective {
    /// Without any document.
    #[must_use]
    pub const fn new(limits: Limits, ttl: Ttl) -> Self {
        Self { limits, shadow: Vec::new(), routes: BTreeMap::new(), ttl }
    }

    /// With one more document over it. Numbers that make no limit change none.
    #[must_use]
    pub fn with(mut self, settings: &Settings) -> Self {
        if let Some(limits) = settings.limits {
            self.limits = self.limits.with(limits).unwrap_or(self.limits);
        }
        if let Some(shadow) = &settings.shadow {
            self.shadow.clone_from(shadow);
        }
        self.routes.extend(settings.routes.clone().unwrap_or_default());
        self.ttl = self.ttl.with(&settings.ttl.unwrap_or_default());
        self
    }

    /// The same with these stored texts over it, in this order.
    #[must_use]
    pub fn with_stored<'a>(self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        texts.into_iter().filter_map(Settings::stored).fold(self, |effective, settings| effective.with(&settings))
    }

    /// Whether a policy only counts what it would refuse.
    #[must_use]
    pub fn is_shadow(&self, policy: &str) -> bool {
        self.shadow.iter().any(|name| name == policy)
    }

    /// Tier and cost of a route, by its name in the table and what it has there.
    #[must_use]
    pub fn route(&self, name: &str, tier: Tier, cost: u32) -> (Tier, u32) {
        self.routes.get(name).map_or((tier, cost), |route| route.over(tier, cost))
    }
}

/// A document as Postgres keeps it. Version 0: there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// From one sequence: a higher one is newer.
    pub version: i64,
    /// The document's text.
    pub document: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Effective = Effective::new(
        Limits { daily: 7, ..DEFAULT_LIMITS },
        Ttl {
            workspace_lease_ms: 1,
            token_lease_ms: 2,
            gate_refresh_ms: 3,
            gate_stale_ms: 4,
            jwks_ttl_ms: 5,
            tag_refresh_ms: 6,
            copy_ms: 7,
            absent_ms: 8,
            public_short_ms: 9,
            public_medium_ms: 10,
            public_long_ms: 11,
        },
    );
    const TIER: crate::limit::TierSettings =
        crate::limit::TierSettings { base: 10, window_ms: 60_000, burst: 10, block_ms: 5, scales_with_plan: false };
    const DEFAULT_LIMITS: Limits = Limits {
        strict: TIER,
        standard: TIER,
        relaxed: TIER,
        tickets: TIER,
        anonymous: TIER,
        sign_in: TIER,
        daily: 1,
        plans: crate::limit::PlanFactors { free: 1, team: 2, business: 3, enterprise: 4 },
    };

    fn refused(scope: Scope, text: &str) -> String {
        let settings = Settings::stored(text).expect("the shape is right");
        settings.check(scope, |name| name == "POST /v1/orgs").expect_err("it must be refused").pointer
    }

    #[test]
    fn an_organisation_goes_over_the_platform_and_the_platform_over_the_environment() {
        let platform =
            r#"{"limits":{"strict":{"burst":99,"base":50}},"shadow":["strict"],"ttl":{"token_lease_ms":200}}"#;
        let org = r#"{"limits":{"strict":{"base":3}},"ttl":{"gate_stale_ms":0}}"#;
        let both = BASE.with_stored([platform, org]);
        assert_eq!((both.limits.strict.base, both.limits.strict.burst, both.limits.strict.block_ms), (3, 3, 5));
        assert_eq!((both.ttl.token_lease_ms, both.ttl.gate_stale_ms, both.ttl.workspace_lease_ms), (200, 0, 1));
        assert!(both.is_shadow("strict") && !both.is_shadow("strict-address"));
        assert!(!both.with_stored([r#"{"shadow":[]}"#]).is_shadow("strict"));
        assert_eq!(BASE.with_stored(["{}"]), BASE);
    }

    #[test]
    fn what_this_code_does_not_understand_changes_nothing() {
        for text in [
            "",
            "[]",
            "null",
            r#"{"limit":{}}"#,
            r#"{"limits":{"strict":{"base":-1}}}"#,
            r#"{"limits":{"strict":{"base":0}}}"#,
        ] {
            assert_eq!(BASE.with_stored([text]), BASE, "{text}");
        }
    }

    #[test]
    fn a_route_takes_another_tier_or_cost() {
        let effective = BASE.with_stored([r#"{"routes":{"POST /v1/orgs":{"cost":3},"GET /v1/me":{"tier":"strict"}}}"#]);
        assert_eq!(effective.route("POST /v1/orgs", Tier::Standard, 1), (Tier::Standard, 3));
        assert_eq!(effective.route("GET /v1/me", Tier::Relaxed, 2), (Tier::Strict, 2));
        assert_eq!(effective.route("GET /v1/orgs", Tier::Relaxed, 2), (Tier::Relaxed, 2));
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let platform = [
            (r#"{"limits":{"strict":{"base":0}}}"#, "/limits/strict/base"),
            (r#"{"limits":{"sign-in":{"window_ms":999}}}"#, "/limits/sign-in/window_ms"),
            (r#"{"limits":{"plans":{"team":0}}}"#, "/limits/plans/team"),
            (r#"{"limits":{"daily":{"base":0}}}"#, "/limits/daily/base"),
            (r#"{"shadow":["standard","standard-principal"]}"#, "/shadow/1"),
            (r#"{"routes":{"GET /nowhere":{"cost":2}}}"#, "/routes/GET ~1nowhere"),
            (r#"{"routes":{"POST /v1/orgs":{"cost":0}}}"#, "/routes/POST ~1v1~1orgs/cost"),
            (r#"{"routes":{"POST /v1/orgs":{"tier":"anonymous"}}}"#, "/routes/POST ~1v1~1orgs/tier"),
            (r#"{"ttl":{"workspace_lease_ms":1001}}"#, "/ttl/workspace_lease_ms"),
            (r#"{"ttl":{"token_lease_ms":5001}}"#, "/ttl/token_lease_ms"),
            (r#"{"ttl":{"gate_refresh_ms":3801}}"#, "/ttl/gate_refresh_ms"),
            (r#"{"ttl":{"gate_stale_ms":60001}}"#, "/ttl/gate_stale_ms"),
            (r#"{"ttl":{"jwks_ttl_ms":1}}"#, "/ttl/jwks_ttl_ms"),
            (r#"{"ttl":{"copy_ms":300001}}"#, "/ttl/copy_ms"),
        ];
        for (text, pointer) in platform {
            assert_eq!(refused(Scope::Platform, text), pointer);
        }
        assert_eq!(refused(Scope::Org, r#"{"routes":{}}"#), "/routes");
        assert_eq!(refused(Scope::Org, r#"{"ttl":{"jwks_ttl_ms":600000}}"#), "/ttl/jwks_ttl_ms");
        let fine = r#"{"shadow":["daily","strict","relaxed-workspace","sign-in-address"],"routes":{"POST /v1/orgs":{"tier":"strict"}}}"#;
        assert_eq!(Settings::stored(fine).expect("a document").check(Scope::Platform, |_| true), Ok(()));
    }
}
