//! Closing rooms for a moment, before a deploy or to have their objects made anew, and which there are.

use drey_core::cursor::{Cursor, CursorError};
use drey_core::id::WorkspaceId;
use drey_core::refusal::Code;
use drey_durable_objects::metrics::MetricsClient;
use drey_durable_objects::workspace_presence::PresenceClient;
use futures::future::join_all;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::call::Call;
use crate::problem::{Outcome, Problem};

/// What the cursor of the list is bound to.
const LIST: &str = "presence rooms";

/// Rooms of one call: each is a hop, and all go side by side.
const MOST_ROOMS: usize = 100;

/// A room keeps seats for half a minute by default: nobody is sent away for longer than twice that.
const MOST_AFTER_MS: u64 = 60_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresenceDrain {
    workspaces: Vec<String>,
    #[serde(default)]
    after_ms: u64,
}

#[derive(Serialize)]
struct Rooms {
    data: Vec<PresenceRoom>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct PresenceRoom {
    workspace_id: WorkspaceId,
    sockets: u64,
}

#[derive(Serialize)]
struct Drained {
    sockets: usize,
    unreachable: Vec<WorkspaceId>,
}

/// List the workspaces whose rooms have sockets. Rooms tell of themselves by the way: what is told is a minute old at most.
pub(super) async fn rooms(call: &Call<'_>) -> Outcome<Answer> {
    let limit = call.request.query.number("limit", 1..=100)?.unwrap_or(50);
    let limit = usize::try_from(limit).unwrap_or(MOST_ROOMS);
    let client = MetricsClient { env: call.request.env, timeout_ms: call.request.remaining_ms() };
    // One more than asked for tells whether there is another page.
    let told = client.rooms(after(call)?, limit + 1).await;
    let told = told.map_err(|error| Problem::unavailable(Code::UpstreamUnavailable, error.to_string(), 1))?;
    let is_last = told.len() <= limit;
    let told = told.into_iter().take(limit);
    let data: Vec<_> = told.map(|(workspace_id, sockets)| PresenceRoom { workspace_id, sockets }).collect();
    let last = data.last().filter(|_| !is_last);
    let next_cursor = last.map(|room| Cursor::encode_key(&room.workspace_id.to_string(), LIST));
    Answer::json(200, &Rooms { data, next_cursor })
}

/// Where the page begins.
fn after(call: &Call<'_>) -> Outcome<Option<WorkspaceId>> {
    let Some(cursor) = call.request.query.get("cursor") else { return Ok(None) };
    let key = Cursor::decode_key(cursor, LIST).and_then(|key| WorkspaceId::parse(&key).map_err(|_| CursorError));
    key.map(Some).map_err(|error| Problem::new(Code::InvalidCursor, error.to_string()))
}

/// Close the sockets of rooms for a moment: each client is told when to come back, and keeps its seat.
pub(super) async fn drain(call: &Call<'_>) -> Outcome<Answer> {
    let PresenceDrain { workspaces, after_ms } = call.json()?;
    if workspaces.is_empty() || workspaces.len() > MOST_ROOMS {
        return Err(Problem::field("/workspaces", format!("must hold 1 to {MOST_ROOMS} ids")));
    }
    if after_ms > MOST_AFTER_MS {
        return Err(Problem::field("/after_ms", format!("must be at most {MOST_AFTER_MS}")));
    }
    let parsed = workspaces.iter().enumerate().map(|(at, id)| {
        WorkspaceId::parse(id).map_err(|_| Problem::field(&format!("/workspaces/{at}"), "must be a workspace's id"))
    });
    let rooms = parsed.collect::<Outcome<Vec<_>>>()?;
    let client = PresenceClient { env: call.request.env, timeout_ms: call.request.remaining_ms() };
    let told = join_all(rooms.iter().map(|room| client.drain(*room, after_ms))).await;
    let mut drained = Drained { sockets: 0, unreachable: Vec::new() };
    for (room, told) in rooms.into_iter().zip(told) {
        match told {
            Ok(sockets) => drained.sockets += sockets,
            Err(error) => {
                tracing::warn!(target: "presence", %error, "not drained");
                drained.unreachable.push(room);
            }
        }
    }
    tracing::info!(target: "presence", sockets = drained.sockets, "drained");
    Answer::json(200, &drained)
}
