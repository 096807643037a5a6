//! The variables of a room.

use drey_core::presence::Settings;
use worker::Env;

use crate::environment::{self, ConfigError};

/// `PRESENCE_TTL_MS` (90000), `PRESENCE_ALARM_MS` (60000), `PRESENCE_MAX_PEERS` (1000), `PRESENCE_MAX_SHARDS` (10),
/// `PRESENCE_MAX_PER_USER` (20), `PRESENCE_FRAMES_PER_S` (50), `PRESENCE_FRAMES_BURST` (100), `PRESENCE_TICK_MS` (33),
/// `PRESENCE_TICKET_MS` (30000), `PRESENCE_BEAT_MS` (30000), `PRESENCE_PROBE_MS` (5000), `PRESENCE_SHED_MS` (30000),
/// `PRESENCE_DRAIN_MS` (10000).
pub fn settings(env: &Env) -> Result<Settings, ConfigError> {
    let default = Settings::DEFAULT;
    Ok(Settings {
        ttl_ms: environment::number(env, "PRESENCE_TTL_MS", default.ttl_ms)?,
        alarm_ms: environment::number(env, "PRESENCE_ALARM_MS", default.alarm_ms)?,
        max_peers: count(env, "PRESENCE_MAX_PEERS", default.max_peers)?,
        max_shards: u32::try_from(environment::number(env, "PRESENCE_MAX_SHARDS", u64::from(default.max_shards))?)
            .unwrap_or(u32::MAX),
        max_per_user: count(env, "PRESENCE_MAX_PER_USER", default.max_per_user)?,
        frames_per_s: environment::number(env, "PRESENCE_FRAMES_PER_S", default.frames_per_s)?,
        frames_burst: environment::number(env, "PRESENCE_FRAMES_BURST", default.frames_burst)?,
        beat_ms: environment::number(env, "PRESENCE_BEAT_MS", default.beat_ms)?,
        ticket_ms: environment::number(env, "PRESENCE_TICKET_MS", default.ticket_ms)?,
        tick_ms: environment::number(env, "PRESENCE_TICK_MS", default.tick_ms)?,
        probe_ms: environment::number(env, "PRESENCE_PROBE_MS", default.probe_ms)?,
        shed_ms: environment::number(env, "PRESENCE_SHED_MS", default.shed_ms)?,
        drain_ms: environment::number(env, "PRESENCE_DRAIN_MS", default.drain_ms)?,
    })
}

fn count(env: &Env, name: &'static str, default: usize) -> Result<usize, ConfigError> {
    let number = environment::number(env, name, u64::try_from(default).unwrap_or(u64::MAX))?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}
