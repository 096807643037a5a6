//! What Worker and object say to each other. Both may be of another version: new members have defaults.

use drey_core::id::{UserId, WorkspaceId};
use drey_core::presence::{Places, ScopeNews};
use drey_core::refusal::{Code, Refusal};
use drey_core::sync::ClientId;
use serde::{Deserialize, Serialize};

/// What the Worker asks of a room, besides to join it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(super) enum Command {
    /// A page of who is present.
    Snapshot {
        after: Option<ClientId>,
        limit: u32,
        #[serde(default)]
        at: Option<Places>,
    },
    /// A page of the people present.
    People { after: Option<UserId>, limit: u32, at: Option<Places> },
    /// A client without a socket lives; its state as `PeerView` has it.
    Beat {
        identity: String,
        clock: u64,
        state: Option<String>,
        #[serde(default)]
        at: Places,
    },
    /// A ticket was made for this client.
    Ticket { digest: String, identity: String },
    /// A user lost access, at this epoch: his sockets close.
    Narrow { user_id: UserId, authz_epoch: i64 },
    /// The workspace is gone: all sockets close.
    Close,
    /// Somebody wants to hear, by server-sent events.
    Listen { identity: String, last_event: Option<String>, at: Option<Places> },
    /// Scopes of sync have moved.
    Notice { scopes: Vec<ScopeNews> },
    /// A shard has news; the reply says when the shard woke that was heard last.
    Report { workspace: WorkspaceId, report: String },
    /// The room is to be restarted: all sockets close for a moment.
    Drain {
        #[serde(default)]
        after_ms: u64,
    },
}

/// Why an upgrade was not accepted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Turned {
    code: Code,
    detail: String,
    retry_after: Option<u32>,
}

impl From<&Refusal> for Turned {
    fn from(refusal: &Refusal) -> Self {
        let Refusal { code, detail, retry_after, .. } = refusal;
        Self { code: *code, detail: detail.to_string(), retry_after: *retry_after }
    }
}

impl From<Turned> for Refusal {
    fn from(Turned { code, detail, retry_after }: Turned) -> Self {
        Self { retry_after, ..Self::new(code, detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Room and shard may be of two versions for a while.
    #[test]
    fn the_command_of_a_report_is_fixed() {
        let text = r#"{"command":"report","workspace":"ws_00000000000000000000000000","report":"{}"}"#;
        let read: Command = serde_json::from_str(text).expect("a command");
        assert_eq!(serde_json::to_string(&read).expect("json"), text);
    }
}
