//! Peers as they are attached to sockets: read and written in one way only.

use serde::{Deserialize as _, Deserializer, Serializer};

use super::Peer;

pub(super) fn serialize<S: Serializer>(peers: &[Peer], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(peers.iter().map(Peer::to_attachment))
}

/// One that is of another version is left out: its socket is closed when it is next heard of.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Peer>, D::Error> {
    let texts: Vec<String> = Vec::deserialize(deserializer)?;
    Ok(texts.iter().filter_map(|text| Peer::from_attachment(text)).collect())
}
