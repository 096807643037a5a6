//! Whether everybody in a room still may be there.
//!
//! Narrowings are told to the room before they are answered. This is for a notice that was lost: a seat is asked after
//! once in a period, so it outlives its role by at most the period and what the gate may lag behind Postgres.

use drey_core::id::{UserId, WorkspaceId};
use drey_core::lease::Admission;
use drey_core::limit::Tier;
use futures::future::join_all;
use worker::{Date, Env};

use crate::workspace_gate::{Admit, GateClient, Subject};

/// A gate that takes longer is asked again a period later.
const TIMEOUT_MS: u32 = 2_000;

/// Questions under way at a time; the gate answers all but the first from memory.
const AT_A_TIME: usize = 32;

/// A round that takes longer goes on with the next alarm: the room's own events wait for nothing here, but its next alarm does.
const ROUND_MS: u64 = 20_000;

/// What the gate says of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// He has no role any more.
    Out,
    /// He has one, as of this epoch of narrowed access; 0 if it was not told.
    In { authz_epoch: i64 },
}

/// How users stand, as far as that can be asked within a round, in their order.
pub(super) async fn round(env: &Env, users: Vec<(WorkspaceId, UserId)>) -> Vec<(UserId, Option<Standing>)> {
    standings(env, users, Date::now().as_millis().saturating_add(ROUND_MS)).await
}

/// How users stand, by the gate's word; `None` where it does not say, which takes nobody's seat. Nobody is asked after later
/// than `until_ms`.
async fn standings(env: &Env, users: Vec<(WorkspaceId, UserId)>, until_ms: u64) -> Vec<(UserId, Option<Standing>)> {
    let mut asked = Vec::with_capacity(users.len());
    for some in users.chunks(AT_A_TIME) {
        if Date::now().as_millis() > until_ms {
            break;
        }
        let answers = join_all(some.iter().map(|(workspace, user)| standing(env, *workspace, *user))).await;
        asked.extend(some.iter().map(|(_, user)| *user).zip(answers));
    }
    asked
}

/// Whether each has a role; `None` where the gate does not say.
pub(crate) async fn roles(env: &Env, users: Vec<(WorkspaceId, UserId)>) -> Vec<(UserId, Option<bool>)> {
    let told = standings(env, users, u64::MAX).await.into_iter();
    told.map(|(user, standing)| (user, standing.map(|standing| standing != Standing::Out))).collect()
}

/// How a user stands in a workspace; `None` if the gate does not say. A question that costs nothing is never refused for
/// its asker's limits: a denial too comes after the role.
pub(super) async fn standing(env: &Env, workspace: WorkspaceId, user: UserId) -> Option<Standing> {
    let admit = Admit {
        principal: Some(user),
        api_key: None,
        address: "::".to_owned(),
        tier: Tier::Relaxed,
        cost: 0,
        wanted: 0,
        held: 0,
        least_revision: None,
        settings: i64::MAX,
        writes: None,
    };
    let gates = GateClient { env, timeout_ms: TIMEOUT_MS };
    match gates.admit(&Subject::Workspace(workspace), &admit).await {
        Ok(Admission::Granted(grant)) => Some(Standing::In { authz_epoch: grant.authz_epoch }),
        Ok(Admission::Denied(_)) => Some(Standing::In { authz_epoch: 0 }),
        Ok(Admission::NotFound) => Some(Standing::Out),
        Ok(Admission::RevisionUnknown | Admission::Unavailable) => None,
        Err(error) => {
            worker::console_warn!("presence: {user} could not be asked after: {error}");
            None
        }
    }
}
