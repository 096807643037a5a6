//! Closing rooms for a moment, before a deploy or to have their objects made anew.

use drey_core::id::WorkspaceId;
use drey_durable_objects::workspace_presence::PresenceClient;
use futures::future::join_all;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::call::Call;
use crate::problem::{Outcome, Problem};

/// Rooms of one call: each is a hop, and all go side by side.
const MOST_ROOMS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresenceDrain {
    workspaces: Vec<String>,
}

#[derive(Serialize)]
struct Drained {
    sockets: usize,
    unreachable: Vec<WorkspaceId>,
}

/// Close the sockets of rooms for a moment: each client is told when to come back, and keeps its seat.
pub(super) async fn drain(call: &Call<'_>) -> Outcome<Answer> {
    let PresenceDrain { workspaces } = call.json()?;
    if workspaces.is_empty() || workspaces.len() > MOST_ROOMS {
        return Err(Problem::field("/workspaces", format!("must hold 1 to {MOST_ROOMS} ids")));
    }
    let parsed = workspaces.iter().enumerate().map(|(at, id)| {
        WorkspaceId::parse(id).map_err(|_| Problem::field(&format!("/workspaces/{at}"), "must be a workspace's id"))
    });
    let rooms = parsed.collect::<Outcome<Vec<_>>>()?;
    let client = PresenceClient { env: call.request.env, timeout_ms: call.request.remaining_ms() };
    let told = join_all(rooms.iter().map(|room| client.drain(*room))).await;
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
