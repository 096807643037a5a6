//! The sums of a deployment: what every isolate reported, each report once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::family::ROOM_ALARMS;
use super::sketch::Sketch;
use crate::id::WorkspaceId;

/// A series is about 100 bytes: these are half of the two megabytes that a stored row may have. There are about 55 rows
/// with 12 bounds, and as many times five classes of answers and five plans, few of which occur.
const MOST_SERIES: usize = 5_000;
/// Isolates whose last report is remembered, so that a repeated one counts once.
const MOST_ISOLATES: usize = 1_000;
/// How long that is remembered after the last report.
const REMEMBER_MS: u64 = 3_600_000;
/// Rooms whose sockets are counted; about 1 MB.
const MOST_ROOMS: usize = 10_000;
/// A room reports whenever its alarm goes off, every minute by default: one that was silent for three is gone.
const ROOM_SILENT_MS: u64 = 180_000;
/// After this the busiest tenants count for half.
const HOUR_MS: u64 = 3_600_000;

/// What an isolate reports. Between versions of a deployment: fields are only added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// The isolate's random name.
    pub isolate: String,
    /// Counts the isolate's reports from 1: a repeated one has the number it had.
    pub sequence: u64,
    /// Requests answered since the report before.
    pub requests: u64,
    /// Counts by series.
    pub series: BTreeMap<String, u64>,
    /// Requests by tenant.
    #[serde(default)]
    pub tenants: Sketch,
}

/// What an isolate is at when it reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    /// WebAssembly memory, in bytes.
    pub memory_bytes: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// The most calls to Neon open at once since the report before.
    pub connections: u64,
}

/// What a room reports. Between versions of a deployment: fields are only added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomReport {
    /// The object's id, which tells rooms apart.
    pub room: String,
    /// Its open sockets.
    pub sockets: u64,
    /// Whose room it is, as far as it knows: an empty one has forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceId>,
    /// How often its alarm went off since the report before.
    #[serde(default)]
    pub alarms: u64,
}

/// A room as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Occupied {
    sockets: u64,
    workspace: Option<WorkspaceId>,
    heard_ms: u64,
}

/// An isolate as it is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Isolate {
    pub(super) sequence: u64,
    pub(super) requests: u64,
    pub(super) levels: Levels,
    pub(super) heard_ms: u64,
}

/// The sums. Serialised, they are what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub(super) series: BTreeMap<String, u64>,
    pub(super) tenants: Sketch,
    pub(super) isolates: BTreeMap<String, Isolate>,
    hour: u64,
    /// Rooms with sockets. Not stored: they tell again within a minute.
    #[serde(skip)]
    rooms: BTreeMap<String, Occupied>,
}

impl Occupied {
    fn is_heard(&self, now_ms: u64) -> bool {
        self.heard_ms.saturating_add(ROOM_SILENT_MS) > now_ms
    }
}

impl Totals {
    /// Adds a report, unless it is here already; says whether it was new.
    pub fn take(&mut self, delta: &Delta, levels: Levels, now_ms: u64) -> bool {
        self.age(now_ms);
        let known = self.isolates.entry(delta.isolate.clone()).or_default();
        (known.levels, known.heard_ms) = (levels, now_ms);
        let is_new = delta.sequence > known.sequence;
        if is_new {
            known.sequence = delta.sequence;
            known.requests = known.requests.saturating_add(delta.requests);
            self.add(delta);
        }
        self.forget(now_ms);
        is_new
    }

    fn add(&mut self, delta: &Delta) {
        for (name, count) in &delta.series {
            self.add_to(name, *count);
        }
        self.tenants.merge(&delta.tenants);
    }

    fn add_to(&mut self, name: &str, count: u64) {
        if let Some(sum) = self.series.get_mut(name) {
            *sum = sum.saturating_add(count);
        } else if self.series.len() < MOST_SERIES {
            self.series.insert(name.to_owned(), count);
        }
    }

    /// Halves the counts of tenants once for each hour that has begun: who was busy yesterday makes room.
    fn age(&mut self, now_ms: u64) {
        let hour = now_ms / HOUR_MS;
        let passed = if self.hour == 0 { 0 } else { hour.saturating_sub(self.hour).min(64) };
        (0..passed).for_each(|_| self.tenants.halve());
        self.hour = self.hour.max(hour);
    }

    fn forget(&mut self, now_ms: u64) {
        self.isolates.retain(|_, isolate| isolate.heard_ms.saturating_add(REMEMBER_MS) > now_ms);
        while self.isolates.len() > MOST_ISOLATES {
            let oldest = self.isolates.iter().min_by_key(|(_, isolate)| isolate.heard_ms).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { return };
            self.isolates.remove(&oldest);
        }
    }

    /// Notes how many sockets a room has, and adds its alarms; says whether these are to be stored.
    pub fn room(&mut self, report: RoomReport, now_ms: u64) -> bool {
        let RoomReport { room, sockets, workspace, alarms } = report;
        self.rooms.retain(|_, known| known.is_heard(now_ms));
        if sockets == 0 {
            self.rooms.remove(&room);
        } else if self.rooms.len() < MOST_ROOMS || self.rooms.contains_key(&room) {
            self.rooms.insert(room, Occupied { sockets, workspace, heard_ms: now_ms });
        }
        if alarms > 0 {
            self.add_to(ROOM_ALARMS.name, alarms);
        }
        alarms > 0
    }

    /// Open sockets of the rooms heard from lately.
    #[must_use]
    pub fn sockets(&self, now_ms: u64) -> u64 {
        self.heard_rooms(now_ms).map(|room| room.sockets).sum()
    }

    /// A page of the workspaces whose rooms have sockets, by id, after the one named, and how many.
    #[must_use]
    pub fn occupied(&self, after: Option<WorkspaceId>, limit: usize, now_ms: u64) -> Vec<(WorkspaceId, u64)> {
        let mut rooms: BTreeMap<WorkspaceId, u64> = BTreeMap::new();
        for room in self.heard_rooms(now_ms) {
            if let Some(workspace) = room.workspace.filter(|workspace| after.is_none_or(|after| *workspace > after)) {
                *rooms.entry(workspace).or_default() += room.sockets;
            }
        }
        rooms.into_iter().take(limit).collect()
    }

    fn heard_rooms(&self, now_ms: u64) -> impl Iterator<Item = &Occupied> {
        self.rooms.values().filter(move |room| room.is_heard(now_ms))
    }

    /// The sum of a series.
    #[must_use]
    pub fn sum(&self, series: &str) -> u64 {
        self.series.get(series).copied().unwrap_or_default()
    }

    /// The busiest tenants, as far as counted.
    #[must_use]
    pub fn busiest(&self, most: usize) -> Vec<(&str, u64)> {
        self.tenants.top(most)
    }
}
