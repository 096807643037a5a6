//! Examples of a room. Its laws stand in `tests/laws/presence.rs`.

mod access;
mod fanout;
mod seats;
mod telling;

use super::super::{Audience, ScopeNews};
use super::*;
use crate::refusal::Code;
use crate::role::WorkspaceRole;

fn identity(client: &str, user: u128) -> Identity {
    Identity {
        workspace: WorkspaceId::from_uuid(uuid::Uuid::nil()),
        client_id: ClientId::parse(client).expect("client"),
        user_id: UserId::from_uuid(uuid::Uuid::from_u128(user)),
        name: None,
        role: WorkspaceRole::Viewer,
        expires_at_ms: 1_000_000,
        authz_epoch: 5,
        api_key: None,
    }
}

fn join(room: &mut Room, client: &str, user: u128, now_ms: u64) -> Connection {
    room.join(identity(client, user), now_ms).expect("joined").0
}

fn update(clock: u64, state: &str) -> String {
    format!(r#"{{"kind":"update","clock":{clock},"state":{state}}}"#)
}

/// The answer to what it was asked last.
fn ack(room: &Room, of: Connection) -> String {
    format!(r#"{{"kind":"ack","n":{}}}"#, room.peer(of).expect("a peer").asked)
}

fn closes(effects: &[Effect]) -> Vec<(Connection, u16)> {
    effects
        .iter()
        .filter_map(
            |effect| {
                if let Effect::Close { connection, code, .. } = effect { Some((*connection, *code)) } else { None }
            },
        )
        .collect()
}

fn kinds(effects: &[Effect]) -> Vec<&'static str> {
    let kind = |text: &str| {
        ["hello", "patch", "leave", "notice", "probe", "error"]
            .into_iter()
            .find(|kind| text.contains(&format!(r#""kind":"{kind}""#)))
            .unwrap_or("text")
    };
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { text, .. } | Effect::Broadcast { text, .. } => Some(kind(text)),
            Effect::Save { .. } | Effect::Close { .. } | Effect::Forget { .. } => None,
        })
        .collect()
}

fn heard(effects: &[Effect], by: Connection) -> Vec<&'static str> {
    let to_him = |effect: &&Effect| match effect {
        Effect::Send { to, .. } => *to == by,
        Effect::Broadcast { to, .. } => to.has(by),
        Effect::Save { .. } | Effect::Close { .. } | Effect::Forget { .. } => false,
    };
    effects.iter().filter(to_him).flat_map(|effect| kinds(std::slice::from_ref(effect))).collect()
}
