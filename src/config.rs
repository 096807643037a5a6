//! The environment, read once per isolate. A wrong value stops every request with a clear log line instead of failing
//! the thousandth.

use drey_core::api_key::KeyEnvironment;
use drey_core::jwt::{IssuerConfig, parse_issuers};
use drey_core::limit::Limits;
use drey_core::quota::DayLength;
use drey_core::settings::Ttl;
use drey_durable_objects::environment::{ConfigError, Provider, day, limits, neon, number, provider, text, ttl, wrong};
use drey_durable_objects::metrics;
use drey_store::sync_push::Retention;
use drey_store::{NeonConfig, Secret};
use worker::Env;

/// Where drey runs; decides HSTS and nothing about who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// `npm run dev` and the tests.
    Development,
    /// Deployed for trying out.
    Staging,
    /// Deployed for users.
    Production,
}

impl Environment {
    /// The value of `ENVIRONMENT`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    /// What stands in the API keys made here.
    #[must_use]
    pub const fn of_keys(self) -> KeyEnvironment {
        match self {
            Self::Development => KeyEnvironment::Development,
            Self::Staging => KeyEnvironment::Staging,
            Self::Production => KeyEnvironment::Production,
        }
    }
}

/// 90 · 86,400,000.
const NINETY_DAYS_MS: u64 = 7_776_000_000;

/// An Upstash-style Redis, the optional second cache.
#[derive(Debug)]
pub struct RedisConfig {
    /// `UPSTASH_REDIS_REST_URL`
    pub url: String,
    /// `UPSTASH_REDIS_REST_TOKEN`
    pub token: Secret,
    /// `REDIS_GET_MS`: how long a read may wait for it, repetitions included. Default 150.
    pub get_ms: u64,
    /// `REDIS_CHARGE_MS`: how long a charge may wait for it. Default 500.
    pub charge_ms: u64,
}

/// Everything configurable.
#[derive(Debug)]
pub struct Config {
    /// `ENVIRONMENT`: `development`, `staging` or `production` (default).
    pub environment: Environment,
    /// `NEON_CONNECTION_STRING`, `NEON_HTTP_URL`, `NEON_REPLICA_CONNECTION_STRING`, `NEON_REPLICA_HTTP_URL`.
    pub neon: NeonConfig,
    /// `ISSUERS`: a JSON array of `{"issuer","audience","jwks_uri"}`.
    pub issuers: Vec<IssuerConfig>,
    /// `UPSTASH_REDIS_REST_URL` and `UPSTASH_REDIS_REST_TOKEN`; absent: no second cache.
    pub redis: Option<RedisConfig>,
    /// `LIMITS` (JSON, see `drey_core::limit`) times `LIMIT_SCALE` (default 1).
    pub limits: Limits,
    /// `RATE_LIMIT_PROVIDER`: where the buckets are, `durable_object` (default) or `redis`.
    pub provider: Provider,
    /// `SELF_HOSTED`: whether an owner may set the plan himself. Default false.
    pub self_hosted: bool,
    /// `CORS_ORIGINS`: origins separated by commas, or `*`. Default none.
    pub cors_origins: Vec<String>,
    /// `REQUEST_DEADLINE_MS`: one deadline for a request and all its subrequests. Default 10,000.
    pub deadline_ms: u64,
    /// `GATE_TIMEOUT_MS`: how long a gate is waited for. It answers within milliseconds or is in trouble; the default of 2,000
    /// leaves time for its first load from Postgres.
    pub gate_timeout_ms: u32,
    /// `QUOTA_DAY_MS`: how long a day of the quota is. Default 86,400,000; tests have shorter ones, of a second at least.
    pub day: DayLength,
    /// `MAX_IN_FLIGHT`: requests that an isolate works on at once before it turns others away. Default 512.
    pub max_in_flight: u64,
    /// `MAX_BODY_BYTES`: large bodies, above 64 KiB, that an isolate holds at once. Default 16 MiB.
    pub max_body_bytes: u64,
    /// `COLLAPSE_MS`: how long a read waits for the copy of another that asks the same. Default 50.
    pub collapse_ms: u64,
    /// `WORKSPACE_LEASE_MS` and the other lifetimes that settings change at run time: see [`Ttl`].
    pub ttl: Ttl,
    /// `METRICS_EVERY_MS`: how long an isolate counts before it reports. Default 5,000.
    pub metrics_every_ms: u64,
    /// `INVITATION_SECRET`: at least 32 characters; invitation tokens are derived from it and never stored.
    pub invitation_secret: Secret,
    /// `API_KEY_SECRET`: at least 32 characters; API keys are made from it and a seed. Another one ends no key.
    pub api_key_secret: Secret,
    /// `OPERATOR_TOKEN`: at least 32 characters; absent: the operator's routes are closed.
    pub operator_token: Option<Secret>,
    /// `JWKS_RETRY_MS`: the least time between two fetches for an unknown key id. Default 30,000.
    pub jwks_retry_ms: u64,
    /// `SYNC_CLIENT_RETENTION_MS`, `SYNC_SESSION_MS`, `SYNC_DIVERGENCE_RETENTION_MS`: 90 days, a day, 90 days.
    pub sync: Retention,
    /// `FEED_LONG_POLL_MS`: how long a long-poll of a scope's log waits. Default 20,000.
    pub long_poll_ms: u64,
    /// `PRESENCE_TICKET_MS`: how long a ticket to a room is good.
    pub ticket_ms: u64,
    /// `FEED_QUIET_MS`: for how long pushes tell a feed nothing at which nobody waited. Default 1,000.
    pub feed_quiet_ms: u64,
    /// `PRESENCE_QUIET_MS`: how long a push may be told late in a room that nobody was in. Default 1,000.
    pub presence_quiet_ms: u64,
    /// `LOG_FORMAT`: `console` for reading, anything else for one JSON line per request.
    pub log_console: bool,
    /// `LOG_LEVEL`: `info` (default) for a line per request, `warn` for those that failed on our side.
    pub log_level: tracing::Level,
}

impl Config {
    /// Reads and checks every variable.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let read = |name| text(env, name);
        let redis = redis(env, &read)?;
        Ok(Self {
            environment: environment(read("ENVIRONMENT").as_deref())?,
            neon: neon(env)?,
            issuers: issuers(&read)?,
            provider: counted_in(env, redis.as_ref())?,
            redis,
            limits: limits(env)?,
            self_hosted: read("SELF_HOSTED").is_some_and(|value| value == "true"),
            cors_origins: list(read("CORS_ORIGINS").as_deref()),
            deadline_ms: number(env, "REQUEST_DEADLINE_MS", 10_000)?,
            gate_timeout_ms: u32::try_from(number(env, "GATE_TIMEOUT_MS", 2_000)?).unwrap_or(u32::MAX),
            day: day(env)?,
            max_in_flight: number(env, "MAX_IN_FLIGHT", 512)?,
            max_body_bytes: number(env, "MAX_BODY_BYTES", 16 * 1024 * 1024)?,
            collapse_ms: number(env, "COLLAPSE_MS", 50)?,
            ttl: ttl(env)?,
            metrics_every_ms: metrics::every_ms(env)?,
            invitation_secret: secret(&read, "INVITATION_SECRET")?,
            api_key_secret: secret(&read, "API_KEY_SECRET")?,
            operator_token: operator_token(&read)?,
            jwks_retry_ms: number(env, "JWKS_RETRY_MS", 30_000)?,
            sync: Retention {
                client_ms: number(env, "SYNC_CLIENT_RETENTION_MS", NINETY_DAYS_MS)?,
                session_ms: number(env, "SYNC_SESSION_MS", 86_400_000)?,
                divergence_ms: number(env, "SYNC_DIVERGENCE_RETENTION_MS", NINETY_DAYS_MS)?,
            },
            ticket_ms: drey_durable_objects::workspace_presence::settings(env)?.ticket_ms,
            long_poll_ms: drey_durable_objects::scope_feed::settings(env)?.long_poll_ms,
            feed_quiet_ms: drey_durable_objects::scope_feed::settings(env)?.quiet_ms,
            presence_quiet_ms: number(env, "PRESENCE_QUIET_MS", 1_000)?,
            log_level: log_level(read("LOG_LEVEL").as_deref())?,
            log_console: read("LOG_FORMAT").is_some_and(|value| value == "console"),
        })
    }
}

fn environment(value: Option<&str>) -> Result<Environment, ConfigError> {
    match value {
        Some("development") => Ok(Environment::Development),
        Some("staging") => Ok(Environment::Staging),
        Some("production") | None => Ok(Environment::Production),
        Some(other) => Err(wrong("ENVIRONMENT", format!("is {other:?}, not development, staging or production"))),
    }
}

fn log_level(value: Option<&str>) -> Result<tracing::Level, ConfigError> {
    match value {
        Some("info") | None => Ok(tracing::Level::INFO),
        Some("warn") => Ok(tracing::Level::WARN),
        Some(other) => Err(wrong("LOG_LEVEL", format!("is {other:?}, not info or warn"))),
    }
}

fn issuers(read: &impl Fn(&'static str) -> Option<String>) -> Result<Vec<IssuerConfig>, ConfigError> {
    let json = read("ISSUERS").ok_or_else(|| wrong("ISSUERS", "is missing"))?;
    let issuers = parse_issuers(&json).map_err(|error| wrong("ISSUERS", error.to_string()))?;
    if issuers.is_empty() {
        return Err(wrong("ISSUERS", "names no issuer"));
    }
    Ok(issuers)
}

fn redis(env: &Env, read: &impl Fn(&'static str) -> Option<String>) -> Result<Option<RedisConfig>, ConfigError> {
    let get_ms = number(env, "REDIS_GET_MS", 150)?;
    let charge_ms = number(env, "REDIS_CHARGE_MS", 500)?;
    let given = read("UPSTASH_REDIS_REST_URL").zip(read("UPSTASH_REDIS_REST_TOKEN"));
    Ok(given.map(|(url, token)| RedisConfig { url, token: Secret::new(token), get_ms, charge_ms }))
}

/// Without a Redis nothing can be counted in it.
fn counted_in(env: &Env, redis: Option<&RedisConfig>) -> Result<Provider, ConfigError> {
    match provider(env)? {
        Provider::Redis if redis.is_none() => {
            Err(wrong("RATE_LIMIT_PROVIDER", "is redis, but UPSTASH_REDIS_REST_URL or its token is missing"))
        }
        provider => Ok(provider),
    }
}

fn operator_token(read: &impl Fn(&'static str) -> Option<String>) -> Result<Option<Secret>, ConfigError> {
    const NAME: &str = "OPERATOR_TOKEN";
    if read(NAME).is_none() { Ok(None) } else { secret(read, NAME).map(Some) }
}

fn secret(read: &impl Fn(&'static str) -> Option<String>, name: &'static str) -> Result<Secret, ConfigError> {
    let secret = read(name).ok_or_else(|| wrong(name, "is missing"))?;
    if secret.len() < 32 {
        return Err(wrong(name, "is shorter than 32 characters"));
    }
    Ok(Secret::new(secret))
}

fn list(value: Option<&str>) -> Vec<String> {
    value.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}
