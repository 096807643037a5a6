//! The variables of a feed.

use drey_core::sync::FeedLimits;
use worker::Env;

use crate::environment::{self, ConfigError};

/// How long a feed waits, and for how many.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a long-poll waits.
    pub long_poll_ms: u64,
    /// How long a stream of events lasts.
    pub sse_ms: u64,
    /// How often the scope is looked at while somebody waits: what a lost notice costs.
    pub check_ms: u64,
    /// For how long pushes tell nothing once they were told that nobody waits.
    pub quiet_ms: u64,
    /// How often everybody's access is looked at when nothing says that somebody lost it.
    pub access_ms: u64,
    /// How many may wait, and what is kept for them.
    pub limits: FeedLimits,
}

/// A chunk of the log is at most 1 MiB: what one read gives is never dropped before it is delivered.
const RING_BYTES: usize = 2 * 1024 * 1024;

impl Default for Settings {
    fn default() -> Self {
        Self {
            long_poll_ms: 20_000,
            sse_ms: 60_000,
            check_ms: 5_000,
            quiet_ms: 1_000,
            access_ms: 60_000,
            limits: FeedLimits { waiters: 10_000, per_reader: 200, ring_bytes: RING_BYTES, proof_ms: 60_000 },
        }
    }
}

/// `FEED_LONG_POLL_MS` (20000), `FEED_SSE_MS` (60000), `FEED_CHECK_MS` (5000), `FEED_ACCESS_MS` (60000),
/// `FEED_QUIET_MS` (1000), `FEED_MAX_WAITERS` (10000), `FEED_MAX_PER_READER` (200).
pub fn settings(env: &Env) -> Result<Settings, ConfigError> {
    let default = Settings::default();
    let access_ms = environment::number(env, "FEED_ACCESS_MS", default.access_ms)?;
    Ok(Settings {
        long_poll_ms: environment::number(env, "FEED_LONG_POLL_MS", default.long_poll_ms)?,
        sse_ms: environment::number(env, "FEED_SSE_MS", default.sse_ms)?,
        check_ms: environment::number(env, "FEED_CHECK_MS", default.check_ms)?,
        quiet_ms: environment::number(env, "FEED_QUIET_MS", default.quiet_ms)?,
        access_ms,
        limits: FeedLimits {
            waiters: count(env, "FEED_MAX_WAITERS", default.limits.waiters)?,
            per_reader: count(env, "FEED_MAX_PER_READER", default.limits.per_reader)?,
            proof_ms: access_ms,
            ..default.limits
        },
    })
}

fn count(env: &Env, name: &'static str, default: usize) -> Result<usize, ConfigError> {
    Ok(usize::try_from(environment::number(env, name, u64::try_from(default).unwrap_or(u64::MAX))?)
        .unwrap_or(usize::MAX))
}
