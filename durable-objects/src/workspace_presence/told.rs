//! How many sockets a room has and how often its alarm went off, told to the operator's metrics.
//!
//! No timer: a room tells when something happens in it anyway, and whenever its alarm goes off. So a room may sleep, and
//! what it told last is at most as old as its alarm.

use std::cell::Cell;
use std::fmt::Write;

use drey_core::id::WorkspaceId;
use drey_core::metrics::RoomReport;
use worker::{Env, State};

use crate::metrics::{self, MetricsClient};

/// Metrics answer at once or not at all.
const TIMEOUT_MS: u32 = 2_000;

/// Whose room it is, if anybody is in it, and how many sockets it has.
pub(super) type Occupants = (Option<WorkspaceId>, usize);

/// What the room told last.
#[derive(Debug)]
pub(super) struct Told {
    every_ms: u64,
    last: Cell<Option<(usize, u64)>>,
    /// Alarms that were not told yet.
    alarms: Cell<u64>,
}

impl Told {
    pub(super) fn new(env: &Env) -> Self {
        Self { every_ms: metrics::every_ms(env).unwrap_or(5_000), last: Cell::new(None), alarms: Cell::new(0) }
    }

    /// The alarm has gone off.
    pub(super) fn alarm(&self) {
        self.alarms.set(self.alarms.get().saturating_add(1));
    }

    /// Tells aside, if the number is another one and the last report is long enough ago. An empty room tells at once: it
    /// has no alarm to tell later. `again` tells although nothing changed.
    pub(super) fn tell(&self, state: &State, env: &Env, (workspace, sockets): Occupants, now_ms: u64, again: bool) {
        let due = match self.last.get() {
            // An object that has just woken does not know what it told; an empty one has nothing to take back.
            None => sockets > 0 || again,
            Some((known, at_ms)) => {
                let changed = known != sockets;
                (changed || again) && (sockets == 0 || at_ms.saturating_add(self.every_ms) <= now_ms)
            }
        };
        let mut room = String::new();
        if !due || write!(room, "{}", state.id()).is_err() {
            return;
        }
        self.last.set(Some((sockets, now_ms)));
        let sockets = u64::try_from(sockets).unwrap_or(u64::MAX);
        let report = RoomReport { room, sockets, workspace, alarms: self.alarms.take() };
        let env = env.clone();
        state.wait_until(async move {
            // Lost, it is told with the next alarm.
            let _ = MetricsClient { env: &env, timeout_ms: TIMEOUT_MS }.room(report).await;
        });
    }
}
