//! The numbers of the tiers: defaults, overrides, scale.
//!
//! In scope: from configuration to the three buckets of a request. Out of scope: reading the environment.

use serde::{Deserialize, Serialize};

use super::{BucketKind, BucketSpec, Tier};
use crate::role::Plan;

/// Configuration that no limit can be made of.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not JSON, or of another shape.
    #[error("LIMITS is not an object of tiers such as {{\"strict\":{{\"base\":10}}}}")]
    Json(#[from] serde_json::Error),
    /// A number that makes no limit.
    #[error("LIMITS: base, window_ms and burst of `{0}` must be at least 1")]
    Zero(Tier),
    /// A plan that would allow nothing.
    #[error("LIMITS: the factors of `plans` must be at least 1")]
    ZeroPlan,
    /// A quota that would allow nothing.
    #[error("LIMITS: base of `daily` must be at least 1")]
    ZeroDaily,
    /// A scale that makes no limit.
    #[error("LIMIT_SCALE must be a number of at least 0.001")]
    Scale,
}

/// The numbers of one tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TierSettings {
    /// Requests per window.
    pub base: u32,
    /// The window, in milliseconds.
    pub window_ms: u32,
    /// Requests that may come at once.
    pub burst: u32,
    /// How long a caller is refused after his first refusal, in milliseconds; 0 for no block.
    pub block_ms: u32,
    /// Whether a better plan multiplies base and burst.
    pub scales_with_plan: bool,
}

/// How many times the base of a tier each plan has, in the tiers that scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlanFactors {
    /// The default plan.
    pub free: u32,
    /// For teams.
    pub team: u32,
    /// For companies.
    pub business: u32,
    /// For those who ask.
    pub enterprise: u32,
}

impl PlanFactors {
    /// The factor of one plan.
    #[must_use]
    pub const fn of(&self, plan: Plan) -> u32 {
        match plan {
            Plan::Free => self.free,
            Plan::Team => self.team,
            Plan::Business => self.business,
            Plan::Enterprise => self.enterprise,
        }
    }
}

/// The numbers of all tiers and plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Sign-in, invitations, keys, secrets.
    pub strict: TierSettings,
    /// Writes and uncached work.
    pub standard: TierSettings,
    /// Cached reads and streams.
    pub relaxed: TierSettings,
    /// Tickets to rooms.
    pub tickets: TierSettings,
    /// Calls whose credential is unknown, by address.
    pub anonymous: TierSettings,
    /// The same on routes of the strict tier.
    #[serde(rename = "sign-in")]
    pub sign_in: TierSettings,
    /// Requests of an organisation in a UTC day, on the least plan.
    pub daily: u32,
    /// What plans multiply.
    pub plans: PlanFactors,
}

impl Default for Limits {
    fn default() -> Self {
        let minute = |base, block_ms, scales_with_plan| TierSettings {
            base,
            window_ms: 60_000,
            burst: base,
            block_ms,
            scales_with_plan,
        };
        // Ten a second with a burst of twenty: a browser's opening volley passes, a flood does not.
        let anonymous = TierSettings { base: 10, window_ms: 1000, burst: 20, block_ms: 0, scales_with_plan: false };
        // A person who signs in does so once or twice.
        let sign_in = TierSettings { base: 1, burst: 5, ..anonymous };
        Self {
            strict: minute(10, 300_000, false),
            standard: minute(100, 60_000, true),
            relaxed: minute(500, 0, true),
            tickets: minute(60, 0, false),
            anonymous,
            sign_in,
            daily: 100_000,
            plans: PlanFactors { free: 1, team: 5, business: 20, enterprise: 100 },
        }
    }
}

/// What to put in the place of a tier's numbers; the burst follows a given base unless it is given too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierOverride {
    pub(crate) base: Option<u32>,
    pub(crate) window_ms: Option<u32>,
    pub(crate) burst: Option<u32>,
    pub(crate) block_ms: Option<u32>,
    scales_with_plan: Option<bool>,
}

/// What to put in the place of the daily quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DailyOverride {
    pub(crate) base: u32,
}

/// What to put in the place of the factors of plans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanOverride {
    pub(crate) free: Option<u32>,
    pub(crate) team: Option<u32>,
    pub(crate) business: Option<u32>,
    pub(crate) enterprise: Option<u32>,
}

/// What `LIMITS` and the runtime's settings put in the place of numbers, field by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsOverride {
    pub(crate) daily: Option<DailyOverride>,
    pub(crate) plans: Option<PlanOverride>,
    pub(crate) strict: Option<TierOverride>,
    pub(crate) standard: Option<TierOverride>,
    pub(crate) relaxed: Option<TierOverride>,
    pub(crate) tickets: Option<TierOverride>,
    pub(crate) anonymous: Option<TierOverride>,
    #[serde(rename = "sign-in")]
    pub(crate) sign_in: Option<TierOverride>,
}

impl Limits {
    /// The defaults with the fields of this JSON put in their place; the burst follows the base unless it is given.
    ///
    /// # Errors
    /// [`SettingsError`] for unknown fields and for numbers that make no limit.
    pub fn from_json(text: &str) -> Result<Self, SettingsError> {
        Self::default().with(serde_json::from_str(text)?)
    }

    /// These limits with the given fields in their place.
    ///
    /// # Errors
    /// [`SettingsError`] for numbers that make no limit.
    pub fn with(self, given: LimitsOverride) -> Result<Self, SettingsError> {
        Ok(Self {
            strict: self.strict.overridden(given.strict, Tier::Strict)?,
            standard: self.standard.overridden(given.standard, Tier::Standard)?,
            relaxed: self.relaxed.overridden(given.relaxed, Tier::Relaxed)?,
            tickets: self.tickets.overridden(given.tickets, Tier::Tickets)?,
            anonymous: self.anonymous.overridden(given.anonymous, Tier::Anonymous)?,
            sign_in: self.sign_in.overridden(given.sign_in, Tier::SignIn)?,
            daily: given.daily.map_or(Ok(self.daily), |given| daily(given.base))?,
            plans: self.plans.overridden(given.plans)?,
        })
    }

    /// Base and burst of every tier times `scale`, rounded, at least 1.
    ///
    /// # Errors
    /// [`SettingsError::Scale`] below 0.001 and for what is not a number.
    pub fn scaled(self, scale: f64) -> Result<Self, SettingsError> {
        if !scale.is_finite() || scale < 0.001 {
            return Err(SettingsError::Scale);
        }
        Ok(Self {
            strict: self.strict.scaled(scale),
            standard: self.standard.scaled(scale),
            relaxed: self.relaxed.scaled(scale),
            tickets: self.tickets.scaled(scale),
            anonymous: self.anonymous.scaled(scale),
            sign_in: self.sign_in.scaled(scale),
            daily: scaled(self.daily, scale),
            plans: self.plans,
        })
    }

    /// The numbers of one tier.
    #[must_use]
    pub const fn tier(&self, tier: Tier) -> &TierSettings {
        match tier {
            Tier::Strict => &self.strict,
            Tier::Standard => &self.standard,
            Tier::Relaxed => &self.relaxed,
            Tier::Tickets => &self.tickets,
            Tier::Anonymous => &self.anonymous,
            Tier::SignIn => &self.sign_in,
        }
    }

    /// The requests of an organisation in a UTC day.
    #[must_use]
    pub const fn daily(&self, plan: Plan) -> u64 {
        self.daily as u64 * self.plans.of(plan) as u64
    }

    /// The three buckets that a request of this tier is charged to: principal, address, workspace.
    #[must_use]
    pub fn buckets(&self, tier: Tier, plan: Plan) -> [BucketSpec; 3] {
        [BucketKind::Principal, BucketKind::Address, BucketKind::Workspace].map(|kind| self.bucket(tier, kind, plan))
    }

    /// One bucket. Only the caller's own is blocked after a refusal: a block of a shared one would punish bystanders.
    #[must_use]
    pub fn bucket(&self, tier: Tier, kind: BucketKind, plan: Plan) -> BucketSpec {
        let settings = self.tier(tier);
        let plan_factor = if settings.scales_with_plan { u64::from(self.plans.of(plan)) } else { 1 };
        let factor = plan_factor * kind.share();
        BucketSpec {
            tier,
            kind,
            limit: u64::from(settings.base) * factor,
            window_ms: u64::from(settings.window_ms),
            burst: u64::from(settings.burst) * factor,
            block_ms: if kind == BucketKind::Principal { u64::from(settings.block_ms) } else { 0 },
        }
    }
}

const fn daily(base: u32) -> Result<u32, SettingsError> {
    if base == 0 { Err(SettingsError::ZeroDaily) } else { Ok(base) }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u32")]
fn scaled(number: u32, scale: f64) -> u32 {
    (f64::from(number) * scale).round().clamp(1.0, f64::from(u32::MAX)) as u32
}

impl PlanFactors {
    fn overridden(self, given: Option<PlanOverride>) -> Result<Self, SettingsError> {
        let Some(given) = given else { return Ok(self) };
        let factors = Self {
            free: given.free.unwrap_or(self.free),
            team: given.team.unwrap_or(self.team),
            business: given.business.unwrap_or(self.business),
            enterprise: given.enterprise.unwrap_or(self.enterprise),
        };
        let zero = [factors.free, factors.team, factors.business, factors.enterprise].contains(&0);
        if zero { Err(SettingsError::ZeroPlan) } else { Ok(factors) }
    }
}

impl TierSettings {
    fn overridden(self, given: Option<TierOverride>, tier: Tier) -> Result<Self, SettingsError> {
        let Some(given) = given else { return Ok(self) };
        let settings = Self {
            base: given.base.unwrap_or(self.base),
            window_ms: given.window_ms.unwrap_or(self.window_ms),
            burst: given.burst.or(given.base).unwrap_or(self.burst),
            block_ms: given.block_ms.unwrap_or(self.block_ms),
            scales_with_plan: given.scales_with_plan.unwrap_or(self.scales_with_plan),
        };
        let zero = settings.base == 0 || settings.window_ms == 0 || settings.burst == 0;
        if zero { Err(SettingsError::Zero(tier)) } else { Ok(settings) }
    }

    fn scaled(self, scale: f64) -> Self {
        Self { base: scaled(self.base, scale), burst: scaled(self.burst, scale), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_multiply_the_tiers_that_scale() {
        let limits = Limits::default();
        let of = |tier, plan| limits.buckets(tier, plan).map(|spec| spec.limit);
        assert_eq!(of(Tier::Strict, Plan::Enterprise), [10, 50, 200]);
        assert_eq!(of(Tier::Standard, Plan::Free), [100, 500, 2000]);
        assert_eq!(of(Tier::Standard, Plan::Team), [500, 2500, 10_000]);
        assert_eq!(of(Tier::Relaxed, Plan::Business), [10_000, 50_000, 200_000]);
    }

    #[test]
    fn configuration_overrides_field_by_field() {
        let limits = Limits::from_json(r#"{"strict":{"base":3},"relaxed":{"burst":7,"block_ms":5}}"#).expect("limits");
        assert_eq!((limits.strict.base, limits.strict.burst, limits.strict.block_ms), (3, 3, 300_000));
        assert_eq!((limits.relaxed.base, limits.relaxed.burst, limits.relaxed.block_ms), (500, 7, 5));
        assert_eq!(limits.standard, Limits::default().standard);
        assert_eq!(Limits::from_json(r#"{"tickets":{"base":7}}"#).expect("limits").tickets.burst, 7);
        for text in ["", "[]", r#"{"other":{}}"#, r#"{"strict":{"rate":1}}"#, r#"{"strict":{"base":0}}"#] {
            assert!(Limits::from_json(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_zones_of_an_address_scale_and_are_configuration() {
        let zones = |limits: &Limits| {
            [Tier::Anonymous, Tier::SignIn].map(|tier| {
                let zone = limits.bucket(tier, BucketKind::Principal, Plan::Enterprise);
                (zone.limit, zone.window_ms, zone.burst)
            })
        };
        let default = Limits::default();
        assert_eq!(zones(&default), [(10, 1000, 20), (1, 1000, 5)]);
        assert_eq!(zones(&default.scaled(10.0).expect("scale")), [(100, 1000, 200), (10, 1000, 50)]);
        let given = Limits::from_json(r#"{"sign-in":{"base":2,"window_ms":60000}}"#).expect("limits");
        assert_eq!(zones(&given), [(10, 1000, 20), (2, 60_000, 2)]);
    }

    #[test]
    fn plans_are_configuration_too() {
        let limits = Limits::from_json(r#"{"plans":{"team":7}}"#).expect("limits");
        let of = |plan| limits.bucket(Tier::Standard, BucketKind::Principal, plan).limit;
        assert_eq!([of(Plan::Free), of(Plan::Team), of(Plan::Business)], [100, 700, 2000]);
        for text in [r#"{"plans":{"team":0}}"#, r#"{"plans":{"gold":3}}"#] {
            assert!(Limits::from_json(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_day_has_a_quota_by_plan() {
        let of = |limits: &Limits| [Plan::Free, Plan::Enterprise].map(|plan| limits.daily(plan));
        assert_eq!(of(&Limits::default()), [100_000, 10_000_000]);
        assert_eq!(of(&Limits::from_json(r#"{"daily":{"base":60}}"#).expect("limits")), [60, 6000]);
        assert_eq!(of(&Limits::default().scaled(0.5).expect("scale")), [50_000, 5_000_000]);
        for text in [r#"{"daily":{"base":0}}"#, r#"{"daily":{}}"#, r#"{"daily":{"base":1,"burst":2}}"#] {
            assert!(Limits::from_json(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_scale_never_leaves_nothing() {
        let scaled = |scale| Limits::default().scaled(scale).expect("scale");
        assert_eq!((scaled(0.001).strict.base, scaled(0.001).strict.burst), (1, 1));
        assert_eq!((scaled(1.0), scaled(1000.0).standard.base), (Limits::default(), 100_000));
        for scale in [0.0, -1.0, 0.0009, f64::NAN, f64::INFINITY] {
            assert!(Limits::default().scaled(scale).is_err(), "{scale}");
        }
    }
}
