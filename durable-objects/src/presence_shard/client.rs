//! A room's side of its shards.

use drey_core::id::WorkspaceId;
use drey_core::presence::{Orders, PAGE, Peer, Report};
use worker::Env;

use super::{BINDING, Command, Rolled};
use crate::rpc::{self, RpcError, Target};

/// A shard that takes longer counts as one that does not answer.
const TIMEOUT_MS: u32 = 2_000;

/// The name of a shard's object.
pub(crate) fn name(workspace: WorkspaceId, shard: u32) -> String {
    format!("{workspace}/{shard}")
}

/// Has a shard do this; when the room woke whose orders it carried out last.
pub(crate) async fn obey(env: &Env, workspace: WorkspaceId, shard: u32, orders: &Orders) -> Result<u64, RpcError> {
    let orders = serde_json::to_string(orders).unwrap_or_default();
    call(env, workspace, shard, &Command::Obey { orders }).await
}

/// Every socket of a shard, and what else it has still to report.
pub(crate) async fn roll(env: &Env, workspace: WorkspaceId, shard: u32) -> Result<Report, RpcError> {
    let mut peers: Vec<Peer> = Vec::new();
    loop {
        let (known, after) = (peers.len(), peers.last().map(|peer| peer.connection));
        let Rolled { peers: page, unsaid } = call(env, workspace, shard, &Command::Roll { after }).await?;
        peers.extend(page.iter().filter_map(|text| Peer::from_attachment(text)));
        // A page of another version, none of which can be read, has no place after which the next begins.
        if page.len() < PAGE || peers.len() == known {
            return Ok(Report { peers, ..unsaid });
        }
    }
}

async fn call<R: serde::de::DeserializeOwned>(
    env: &Env,
    workspace: WorkspaceId,
    shard: u32,
    command: &Command,
) -> Result<R, RpcError> {
    let name = name(workspace, shard);
    rpc::call(env, Target { binding: BINDING, name: &name, hint: None, timeout_ms: TIMEOUT_MS }, command).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sockets live on in the objects of an older version.
    #[test]
    fn the_name_is_fixed() {
        let workspace = WorkspaceId::from_uuid(uuid::Uuid::nil());
        assert_eq!(name(workspace, 3), "ws_00000000000000000000000000/3");
    }
}
