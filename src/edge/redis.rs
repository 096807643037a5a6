//! The optional second cache: an Upstash-style Redis over REST, through `reqwest`.
//!
//! Everything here can be lost: a Redis that is down, slow or lying costs a miss and never an error.

use std::time::Duration;

use drey_store::Secret;
use serde::Deserialize;

/// A second cache that takes longer than this is slower than Postgres.
const TIMEOUT: Duration = Duration::from_millis(150);

/// A client; it holds only configuration, so one serves every request of the isolate.
#[derive(Debug)]
pub struct Redis {
    client: reqwest::Client,
    url: String,
    token: Secret,
}

#[derive(Deserialize)]
struct Reply {
    result: Option<String>,
}

impl Redis {
    /// A client of a REST endpoint.
    #[must_use]
    pub fn new(url: String, token: Secret) -> Self {
        Self { client: reqwest::Client::new(), url, token }
    }

    /// `GET`; a miss when anything goes wrong. Reading twice is harmless, so a broken connection is tried once more.
    pub async fn get(&self, key: &str) -> Option<String> {
        let command = ["GET", key];
        let first = self.command(&command).await;
        let reply = match first {
            Err(error) if error.is_request() => self.command(&command).await,
            other => other,
        };
        reply.inspect_err(|error| tracing::debug!(target: "redis", %error, "miss")).ok()?.result
    }

    /// `SET … EX`; lost when anything goes wrong.
    pub async fn set(&self, key: &str, value: &str, seconds: u32) {
        let seconds = seconds.to_string();
        if let Err(error) = self.command(&["SET", key, value, "EX", &seconds]).await {
            tracing::debug!(target: "redis", %error, "not stored");
        }
    }

    async fn command(&self, command: &[&str]) -> reqwest::Result<Reply> {
        let request = self.client.post(&self.url).bearer_auth(self.token.expose()).timeout(TIMEOUT).json(command);
        request.send().await?.error_for_status()?.json().await
    }
}
