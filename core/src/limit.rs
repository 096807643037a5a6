//! How much a caller may do: tiers, plans, and the buckets they are counted in.
//!
//! In scope: GCRA, charging several buckets as one, blocks, the marks that make a restart safe, and the headers.
//! Out of scope: where buckets live (the gate, or a Redis) and who is calling.
//!
//! Published bound: of one bucket, at most burst + rate·t admissions in any interval t, restarts included.

mod bucket;
mod gcra;
mod headers;
mod insurance;
pub mod redis;
mod settings;
mod stored;
mod strangers;

pub use bucket::{Bucket, Charge, Wish, charge, charge_up_to, refusal, would_refuse};
pub use gcra::{BucketSpec, Clock, Gcra, Take};
pub use headers::{LimitView, headers, seconds_up};
pub use insurance::{Given, insured};
pub use settings::{
    DailyOverride, Limits, LimitsOverride, PlanFactors, PlanOverride, SettingsError, TierOverride, TierSettings,
};
pub use stored::{Mark, Stored, bucket_name, mark};
pub use strangers::{Account, Strangers};

text_enum! {
    /// How dear a route is. Every row of the route table names one.
    pub enum Tier {
        /// Sign-in, invitations, keys, secrets: every request asks the gate.
        Strict = "strict",
        /// Writes and uncached work.
        Standard = "standard",
        /// Cached reads and streams.
        Relaxed = "relaxed",
        /// Tickets to rooms, a policy of their own: a browser whose network flickers asks for one after another, and must
        /// neither use up its reads nor be handed tickets without an end.
        Tickets = "tickets",
        /// Calls whose credential is unknown, by address: a brake before any work is done for a stranger.
        Anonymous = "anonymous",
        /// The same on routes of the strict tier: whoever tries credentials tries them there.
        SignIn = "sign-in",
    }
}

text_enum! {
    /// Whose bucket it is. A request is charged to one of each.
    pub enum BucketKind {
        /// The caller in the workspace: once the tier.
        Principal = "principal",
        /// The caller's address in the organisation and workspace: five times the tier.
        Address = "address",
        /// The workspace: twenty times the tier.
        Workspace = "workspace",
    }
}

impl BucketKind {
    /// How many times the tier this bucket holds.
    #[must_use]
    pub const fn share(self) -> u64 {
        match self {
            Self::Principal => 1,
            Self::Address => 5,
            Self::Workspace => 20,
        }
    }
}
