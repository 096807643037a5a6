//! A room's side of its shards.

use drey_core::id::WorkspaceId;
use drey_core::presence::{Orders, PAGE, Peer, Report};
use worker::{Date, Env};

use super::{BINDING, Command, Rolled};
use crate::rpc::{self, RpcError, Target};

/// A shard that takes longer counts as one that does not answer, to say who sits there too, however many pages that is: a room
/// that wakes waits for it.
const TIMEOUT_MS: u32 = 2_000;

/// The name of a shard's object.
pub(crate) fn name(workspace: WorkspaceId, shard: u32) -> String {
    format!("{workspace}/{shard}")
}

/// Has a shard do this; when the room woke whose orders it carried out last.
pub(crate) async fn obey(env: &Env, workspace: WorkspaceId, shard: u32, orders: &Orders) -> Result<u64, RpcError> {
    let orders = serde_json::to_string(orders).unwrap_or_default();
    call(env, workspace, shard, TIMEOUT_MS, &Command::Obey { orders }).await
}

/// Every socket of a shard, and what else it has still to report.
pub(crate) async fn roll(env: &Env, workspace: WorkspaceId, shard: u32) -> Result<Report, RpcError> {
    let (mut peers, began_ms): (Vec<Peer>, _) = (Vec::new(), Date::now().as_millis());
    loop {
        let (known, after) = (peers.len(), peers.last().map(|peer| peer.connection));
        let timeout_ms = left_ms(began_ms, Date::now().as_millis());
        let Rolled { peers: page, unsaid } = call(env, workspace, shard, timeout_ms, &Command::Roll { after }).await?;
        peers.extend(page.iter().filter_map(|text| Peer::from_attachment(text)));
        // A page of another version, none of which can be read, has no place after which the next begins.
        if page.len() < PAGE || peers.len() == known {
            return Ok(Report { peers, ..unsaid });
        }
    }
}

/// What is left of the time for all pages. A call that has none is given up at once.
fn left_ms(began_ms: u64, now_ms: u64) -> u32 {
    let gone_ms = u32::try_from(now_ms.saturating_sub(began_ms)).unwrap_or(u32::MAX);
    TIMEOUT_MS.saturating_sub(gone_ms)
}

async fn call<R: serde::de::DeserializeOwned>(
    env: &Env,
    workspace: WorkspaceId,
    shard: u32,
    timeout_ms: u32,
    command: &Command,
) -> Result<R, RpcError> {
    let name = name(workspace, shard);
    rpc::call(env, Target { binding: BINDING, name: &name, hint: None, timeout_ms }, command).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pages_have_one_time() {
        assert_eq!([0, 1_500, 5_000].map(|gone_ms| left_ms(1_000, 1_000 + gone_ms)), [TIMEOUT_MS, 500, 0]);
    }

    /// Sockets live on in the objects of an older version.
    #[test]
    fn the_name_is_fixed() {
        let workspace = WorkspaceId::from_uuid(uuid::Uuid::nil());
        assert_eq!(name(workspace, 3), "ws_00000000000000000000000000/3");
    }
}
