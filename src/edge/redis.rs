//! An Upstash-style Redis over REST, through `reqwest`: the optional second cache, and on demand the buckets of limits.
//!
//! Every copy here can be lost: a Redis that is down, slow or lying costs a miss and never an error. A charge that
//! brings no answer is an error, and its caller's to judge.

use std::time::Duration;

use drey_core::retry::{Effect, Retry, Signal, decide};
use drey_store::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use worker::Delay;

use super::{clock, random};
use crate::config::RedisConfig;

/// Nobody waits for a copy to be stored; still it must end.
const SET_MS: u64 = 1_000;
/// The largest copy is 1.1 MB, and as a JSON string at most twice that in practice. More is not ours.
const MOST_REPLY_BYTES: usize = 4 * 1024 * 1024;

/// A client; it holds only configuration, so one serves every request of the isolate.
#[derive(Debug)]
pub struct Redis {
    client: reqwest::Client,
    url: String,
    token: Secret,
    /// A second cache that takes longer than this, repetitions included, is slower than Postgres.
    get_ms: u64,
    charge_ms: u64,
}

#[derive(Deserialize)]
struct Reply<T> {
    result: Option<T>,
}

/// A call that brought no reply.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection, the time, or the status.
    #[error("{0}")]
    Request(#[from] reqwest::Error),
    /// More than any reply of ours.
    #[error("the reply is larger than any of ours")]
    TooLarge,
    /// Not JSON, or of another shape.
    #[error("the reply is none: {0}")]
    Garbage(#[from] serde_json::Error),
    /// JSON without a result, as an error with the status 200.
    #[error("the reply has no result")]
    Empty,
}

impl Failure {
    /// In the words of the retry table: only a connection that broke and a server in trouble are worth another try.
    fn signal(&self) -> Signal<'static> {
        match self {
            Self::Request(error) => error.status().map_or(Signal::Network, |status| Signal::Status(status.as_u16())),
            Self::TooLarge | Self::Garbage(_) | Self::Empty => Signal::Status(200),
        }
    }
}

impl Redis {
    /// A client of a REST endpoint.
    #[must_use]
    pub fn new(config: &RedisConfig) -> Self {
        let RedisConfig { url, token, get_ms, charge_ms } = config;
        Self {
            client: reqwest::Client::new(),
            url: url.clone(),
            token: token.clone(),
            get_ms: *get_ms,
            charge_ms: *charge_ms,
        }
    }

    /// `GET`; a miss when anything goes wrong.
    pub async fn get(&self, key: &str) -> Option<String> {
        let reply = self.repeat::<String>(&["GET", key], self.get_ms).await;
        reply.inspect_err(|error| tracing::debug!(target: "redis", %error, "miss")).ok()?.result
    }

    /// `SET … EX`; lost when anything goes wrong.
    pub async fn set(&self, key: &str, value: &str, seconds: u32) {
        let seconds = seconds.to_string();
        if let Err(error) = self.repeat::<String>(&["SET", key, value, "EX", &seconds], SET_MS).await {
            tracing::debug!(target: "redis", %error, "not stored");
        }
    }

    /// Sends a command that counts, once and never again: nobody can tell a refused connection from an answer that was
    /// lost after the charge, and a caller must not pay twice.
    pub async fn charge<T: DeserializeOwned>(&self, command: &[String]) -> Result<T, Failure> {
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        self.send(&command, self.charge_ms).await?.result.ok_or(Failure::Empty)
    }

    /// Sends a command whose second run changes nothing (`GET`, `SET`; never one that counts), again where the retry
    /// table says so and the time allows it.
    async fn repeat<T: DeserializeOwned>(&self, command: &[&str], within_ms: u64) -> Result<Reply<T>, Failure> {
        let until_ms = clock::now_ms() + within_ms;
        let left_ms = || until_ms.saturating_sub(clock::now_ms());
        let mut attempt = 1;
        loop {
            let failure = match self.send(command, left_ms()).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            match decide(failure.signal(), Effect::Idempotent, attempt, random::fraction()) {
                Retry::After(ms) if u64::from(ms) < left_ms() => Delay::from(Duration::from_millis(ms.into())).await,
                Retry::After(_) | Retry::Stop => return Err(failure),
            }
            attempt += 1;
        }
    }

    async fn send<T: DeserializeOwned>(&self, command: &[&str], within_ms: u64) -> Result<Reply<T>, Failure> {
        let request = self.client.post(&self.url).bearer_auth(self.token.expose()).json(command);
        let response = request.timeout(Duration::from_millis(within_ms)).send().await?.error_for_status()?;
        let declared = response.content_length().and_then(|bytes| usize::try_from(bytes).ok());
        if declared.is_some_and(|bytes| bytes > MOST_REPLY_BYTES) {
            return Err(Failure::TooLarge);
        }
        let text = response.text().await?;
        if text.len() > MOST_REPLY_BYTES { Err(Failure::TooLarge) } else { Ok(serde_json::from_str(&text)?) }
    }
}
