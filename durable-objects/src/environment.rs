//! The variables that the Worker and its objects both read. An object reads its own environment: commands carry ids,
//! never configuration or secrets.

use drey_core::limit::Limits;
use drey_core::quota::DayLength;
use drey_core::settings::Ttl;
use drey_store::{NeonConfig, Secret};
use worker::Env;

/// A variable that is missing or does not parse.
#[derive(Debug, thiserror::Error)]
#[error("the variable {name} {problem}")]
pub struct ConfigError {
    name: &'static str,
    problem: String,
}

/// A [`ConfigError`] in words that follow the variable's name: «is missing».
pub fn wrong(name: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError { name, problem: problem.into() }
}

/// A plain variable or a secret; both are strings in the environment. Empty means absent.
#[must_use]
pub fn text(env: &Env, name: &str) -> Option<String> {
    env.var(name).ok().map(|value| value.to_string()).filter(|value| !value.is_empty())
}

/// A whole number with a default.
pub fn number(env: &Env, name: &'static str, default: u64) -> Result<u64, ConfigError> {
    text(env, name).map_or(Ok(default), |value| value.parse().map_err(|_| wrong(name, "is not a whole number")))
}

/// Where the buckets of known callers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// In the gates.
    DurableObject,
    /// In Redis, by one `EVAL` a request.
    Redis,
}

/// `RATE_LIMIT_PROVIDER`: `durable_object` (default) or `redis`.
pub fn provider(env: &Env) -> Result<Provider, ConfigError> {
    const NAME: &str = "RATE_LIMIT_PROVIDER";
    match text(env, NAME).as_deref() {
        None | Some("durable_object") => Ok(Provider::DurableObject),
        Some("redis") => Ok(Provider::Redis),
        Some(other) => Err(wrong(NAME, format!("is {other:?}, not durable_object or redis"))),
    }
}

/// Where Postgres is: `NEON_CONNECTION_STRING`, `NEON_HTTP_URL` and their replica twins.
pub fn neon(env: &Env) -> Result<NeonConfig, ConfigError> {
    const NAME: &str = "NEON_CONNECTION_STRING";
    const REPLICA: &str = "NEON_REPLICA_CONNECTION_STRING";
    let connection = text(env, NAME).ok_or_else(|| wrong(NAME, "is missing"))?;
    let primary = NeonConfig::new(Secret::new(connection), text(env, "NEON_HTTP_URL"));
    let config = primary.map_err(|error| wrong(NAME, error.to_string()))?;
    let Some(replica) = text(env, REPLICA) else { return Ok(config) };
    let url = text(env, "NEON_REPLICA_HTTP_URL");
    config.with_replica(Secret::new(replica), url).map_err(|error| wrong(REPLICA, error.to_string()))
}

/// The limits: `LIMITS` (JSON, see [`drey_core::limit`]) times `LIMIT_SCALE` (default 1).
pub fn limits(env: &Env) -> Result<Limits, ConfigError> {
    let limits = match text(env, "LIMITS") {
        Some(json) => Limits::from_json(&json).map_err(|error| wrong("LIMITS", error.to_string()))?,
        None => Limits::default(),
    };
    let scale: f64 = match text(env, "LIMIT_SCALE") {
        Some(value) => value.parse().map_err(|_| wrong("LIMIT_SCALE", "is not a number"))?,
        None => 1.0,
    };
    limits.scaled(scale).map_err(|error| wrong("LIMIT_SCALE", error.to_string()))
}

/// `QUOTA_DAY_MS`: how long a day of the quota is, at least a second. Default 24 hours.
pub fn day(env: &Env) -> Result<DayLength, ConfigError> {
    const NAME: &str = "QUOTA_DAY_MS";
    DayLength::new(number(env, NAME, DayLength::UTC.ms())?).ok_or_else(|| wrong(NAME, "is below 1000"))
}

/// How long things are held: one variable each, by the name of the field.
pub fn ttl(env: &Env) -> Result<Ttl, ConfigError> {
    Ttl::read(|name, default| number(env, name, default))
}
