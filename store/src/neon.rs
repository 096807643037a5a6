//! The client of Neon's SQL over HTTP: one batch, one POST, one transaction.
//!
//! In scope: sending a batch inside the request's deadline, repeating it where that is harmless, handing its rows on.
//! Out of scope: what the statements mean. Building requests and reading answers are pure (`wire`, `row`, `error`).

pub mod config;
pub mod error;
pub mod row;
pub(crate) mod send;
pub mod traffic;
pub(crate) mod wire;

use std::time::Duration;

use drey_core::retry::{Effect, Retry, Signal, decide};

pub(crate) use wire::Answer;

use crate::Result;
use crate::neon::config::{Endpoint, NeonConfig};
use crate::neon::error::Failure;
use crate::neon::traffic::Traffic;
use crate::session::Session;
use crate::statement::Call;

/// How fresh the rows of a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// As fresh as the last commit.
    Primary,
    /// May lag: the replica, if one is configured.
    Replica,
}

/// The client. It holds nothing of a request but how many there are.
#[derive(Debug)]
pub struct Neon {
    config: NeonConfig,
    /// What this client has asked and is asking.
    pub traffic: Traffic,
}

impl Neon {
    /// A client of this database.
    #[must_use]
    pub const fn new(config: NeonConfig) -> Self {
        Self { config, traffic: Traffic::new() }
    }

    /// Whether reads may go to another database than writes.
    pub(crate) const fn has_replica(&self) -> bool {
        self.config.replica.is_some()
    }

    /// Runs the calls as one transaction that begins with the caller's settings, and decodes their rows: once, on the answer
    /// as it came, so that rows need not be copied out of it first.
    pub(crate) async fn run<T>(
        &self,
        s: &Session<'_>,
        calls: &[Call<'_>],
        effect: Effect,
        consistency: Consistency,
        decode: impl FnOnce(Answer<'_>) -> Result<T>,
    ) -> Result<T> {
        let body = self.send(s, calls, effect, consistency).await?;
        decode(Answer::of(&body, calls)?)
    }

    /// The answer of the transaction. A failed try is repeated as [`decide`] says, never past the deadline.
    ///
    /// Not generic: the machine of waits and repetitions is compiled once and not once a statement.
    async fn send(
        &self,
        s: &Session<'_>,
        calls: &[Call<'_>],
        effect: Effect,
        consistency: Consistency,
    ) -> Result<String> {
        let endpoint = self.endpoint(effect, consistency);
        let mut attempt = 1;
        loop {
            let open = self.traffic.open(attempt);
            let sent = send::batch(endpoint, s, calls, effect, attempt).await;
            drop(open);
            let failure = match sent {
                Ok((200, body)) => return Ok(body),
                Ok((status, body)) => Failure::read(status, &body),
                Err(failure) => failure,
            };
            let pause = decide(signal(&failure, attempt), effect, attempt, send::jitter());
            let left = s.deadline.remaining(send::now_ms());
            match pause {
                Retry::After(ms) if ms < left => worker::Delay::from(Duration::from_millis(ms.into())).await,
                Retry::After(_) | Retry::Stop => return Err(failure.into_error(calls, left)),
            }
            attempt += 1;
        }
    }

    fn endpoint(&self, effect: Effect, consistency: Consistency) -> &Endpoint {
        match (&self.config.replica, effect, consistency) {
            (Some(replica), Effect::Read, Consistency::Replica) => replica,
            _ => &self.config.primary,
        }
    }
}

/// After a lost answer the key's lock may still be in the hands of our own first try: that passes too.
fn signal(failure: &Failure, attempt: u32) -> Signal<'_> {
    match failure {
        Failure::Postgres(error) if attempt > 1 && error.constraint == "idempotency-in-flight" => Signal::Network,
        failure => failure.signal(),
    }
}
