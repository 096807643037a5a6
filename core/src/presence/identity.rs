//! Who a socket belongs to, as the Worker admitted it.
//!
//! In scope: the one internal header between Worker and object. Out of scope: admission.

use serde::{Deserialize, Serialize};

use super::Connection;
use crate::id::{ApiKeyId, UserId, WorkspaceId};
use crate::role::WorkspaceRole;
use crate::sync::ClientId;

/// A header that is no identity.
#[derive(Debug, thiserror::Error)]
#[error("the presence header is not an identity")]
pub struct IdentityError(#[from] serde_json::Error);

/// Who a socket belongs to. Only the Worker makes one, after admission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The workspace he was admitted to.
    pub workspace: WorkspaceId,
    /// The client, of its own choice; one of one user at a time.
    pub client_id: ClientId,
    /// The user the credential names.
    pub user_id: UserId,
    /// What others see as his name.
    pub name: Option<String>,
    /// His role in the workspace.
    pub role: WorkspaceRole,
    /// When the credential ends, in milliseconds since 1970.
    pub expires_at_ms: u64,
    /// The epoch of narrowed access his admission rests on: a room that has heard of a later one refuses it.
    pub authz_epoch: i64,
    /// The API key that acts as the user: one that is revoked must not keep its socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeyId>,
}

impl Identity {
    /// The header's name. The Worker sets it; the object is reached by nobody else.
    pub const HEADER: &'static str = "x-drey-presence";

    /// The header's value: JSON in ASCII, for a header holds nothing else.
    ///
    /// # Errors
    /// That of JSON; an identity has nothing that could cause one.
    pub fn to_header(&self) -> Result<String, IdentityError> {
        Ok(ascii(&serde_json::to_string(self)?))
    }

    /// Reads the header.
    ///
    /// # Errors
    /// [`IdentityError`] for another shape.
    pub fn from_header(header: &str) -> Result<Self, IdentityError> {
        Ok(serde_json::from_str(header)?)
    }
}

/// Where the room has sent a socket that it has no place for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Which shard.
    pub shard: u32,
    /// The number of the socket.
    pub connection: Connection,
    /// Whose it is.
    pub identity: Identity,
}

impl Sent {
    /// The header's name. The Worker sets it to what the room answered; a shard is reached by nobody else.
    pub const HEADER: &'static str = "x-drey-sent";

    /// The header's value, as that of an identity.
    ///
    /// # Errors
    /// That of JSON; there is nothing that could cause one.
    pub fn to_header(&self) -> Result<String, IdentityError> {
        Ok(ascii(&serde_json::to_string(self)?))
    }

    /// Reads the header.
    ///
    /// # Errors
    /// [`IdentityError`] for another shape.
    pub fn from_header(header: &str) -> Result<Self, IdentityError> {
        Ok(serde_json::from_str(header)?)
    }
}

/// The same JSON in ASCII: outside of its strings JSON is ASCII anyway, and inside any character can be escaped.
pub(super) fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            let mut units = [0; 2];
            text.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_script_fits_a_header() {
        let identity = Identity {
            workspace: WorkspaceId::from_uuid(uuid::Uuid::nil()),
            client_id: ClientId::parse("c1").expect("client"),
            user_id: UserId::from_uuid(uuid::Uuid::nil()),
            name: Some("Ada 🦊 Łovelace \"x\"".to_owned()),
            role: WorkspaceRole::Viewer,
            expires_at_ms: 1_700_000_000_000,
            authz_epoch: 3,
            api_key: None,
        };
        let header = identity.to_header().expect("header");
        assert!(header.is_ascii(), "{header}");
        assert_eq!(Identity::from_header(&header).expect("identity"), identity);
        assert!(Identity::from_header("{}").is_err());
    }

    /// Room, Worker and shard may be of three versions for a while.
    #[test]
    fn where_a_socket_was_sent_is_fixed() {
        let header = r#"{"shard":2,"connection":7,"identity":{"workspace":"ws_00000000000000000000000000","client_id":"c1","user_id":"user_00000000000000000000000000","name":null,"role":"viewer","expires_at_ms":1000000,"authz_epoch":5}}"#;
        let sent = Sent::from_header(header).expect("sent");
        assert_eq!((sent.shard, sent.connection.0, Sent::HEADER), (2, 7, "x-drey-sent"));
        assert_eq!(sent.to_header().expect("header"), header);
    }
}
