//! How many sockets a room has, told to the operator's metrics.
//!
//! No timer: a room tells when something happens in it anyway, and whenever its alarm goes off. So a room may sleep, and
//! what it told last is at most as old as its alarm.

use std::cell::Cell;
use std::fmt::Write;

use worker::{Env, State};

use crate::metrics::{self, MetricsClient};

/// Metrics answer at once or not at all.
const TIMEOUT_MS: u32 = 2_000;

/// What the room told last.
#[derive(Debug)]
pub(super) struct Told {
    every_ms: u64,
    last: Cell<Option<(usize, u64)>>,
}

impl Told {
    pub(super) fn new(env: &Env) -> Self {
        Self { every_ms: metrics::every_ms(env).unwrap_or(5_000), last: Cell::new(None) }
    }

    /// Tells aside, if the number is another one and the last report is long enough ago. An empty room tells at once: it
    /// has no alarm to tell later. `again` tells although nothing changed.
    pub(super) fn tell(&self, state: &State, env: &Env, sockets: usize, now_ms: u64, again: bool) {
        let due = match self.last.get() {
            // An object that has just woken does not know what it told; an empty one has nothing to take back.
            None => sockets > 0,
            Some((known, at_ms)) => {
                let changed = known != sockets;
                (changed || again) && (sockets == 0 || at_ms.saturating_add(self.every_ms) <= now_ms)
            }
        };
        // The id and not the name: it tells rooms apart, and which workspace it is of is nobody's business here.
        let mut room = String::new();
        if !due || write!(room, "{}", state.id()).is_err() {
            return;
        }
        self.last.set(Some((sockets, now_ms)));
        let env = env.clone();
        state.wait_until(async move {
            let sockets = u64::try_from(sockets).unwrap_or(u64::MAX);
            // Lost, it is told with the next alarm.
            let _ = MetricsClient { env: &env, timeout_ms: TIMEOUT_MS }.room(room, sockets).await;
        });
    }
}
