//! Whether everybody in a room still may be there.
//!
//! Narrowings are told to the room before they are answered. This is for a notice that was lost: a seat is asked after
//! once in a period, so it outlives its role by at most the period and what the gate may lag behind Postgres.

use drey_core::id::{UserId, WorkspaceId};
use drey_core::lease::Admission;
use drey_core::limit::Tier;
use futures::StreamExt as _;
use futures::stream;
use worker::Env;

use crate::workspace_gate::{Admit, GateClient, Subject};

/// A gate that takes longer is asked again a period later.
const TIMEOUT_MS: u32 = 2_000;

/// Questions under way at a time; the gate answers all but the first from memory.
const AT_A_TIME: usize = 32;

/// Those who have no role any more, by the gate's word. One who costs nothing is never refused for his limits, and a
/// gate that does not answer takes nobody's seat.
pub(super) async fn without_role(env: &Env, users: Vec<(WorkspaceId, UserId)>) -> Vec<UserId> {
    let asked = stream::iter(users).map(|(workspace, user)| async move {
        let admit = Admit {
            principal: Some(user),
            address: "::".to_owned(),
            tier: Tier::Relaxed,
            cost: 0,
            wanted: 0,
            held: 0,
            least_revision: None,
        };
        let gates = GateClient { env, timeout_ms: TIMEOUT_MS };
        match gates.admit(&Subject::Workspace(workspace), &admit).await {
            Ok(Admission::NotFound) => Some(user),
            Ok(_) => None,
            Err(error) => {
                worker::console_warn!("presence: {user} could not be asked after: {error}");
                None
            }
        }
    });
    asked.buffer_unordered(AT_A_TIME).filter_map(|gone| async move { gone }).collect().await
}
