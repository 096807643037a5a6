//! What is synchronised: scopes, the entities in them, and the clients that write.
//!
//! In scope: the shape of names. Out of scope: whether the thing behind a scope exists.

use crate::id::{ProjectId, UserId, WorkspaceId};

text_enum! {
    /// The closed list of scopes.
    pub enum ScopeType {
        /// One user's own things in the workspace; its id is the user's.
        User = "user",
        /// The workspace's shared things; its id is the workspace's.
        Workspace = "workspace",
        /// One project; its id is the project's.
        Project = "project",
        /// One collection; its id is the client's choice.
        Collection = "collection",
        /// One environment; its id is the client's choice.
        Environment = "environment",
    }
}

/// Why a name is refused. The message is a clause that follows the field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A scope's type is none of ours.
    #[error("must be user, workspace, project, collection or environment")]
    ScopeType,
    /// A scope's id is not what its type demands.
    #[error("must be the id of the scope's thing")]
    ScopeId,
    /// An id of the client's choice is not one.
    #[error("must be 1 to 64 of A-Z a-z 0-9 _ -")]
    Id,
    /// An entity's type is not one.
    #[error("must be 1 to 64 of a-z 0-9 _ -, a letter first")]
    EntityType,
}

pub(crate) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

pub(crate) fn is_entity_type(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    first && is_id(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// The id of one writing client, of its own choice: 1 to 64 of `[A-Za-z0-9_-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(String);

impl ClientId {
    /// Checks.
    ///
    /// # Errors
    /// [`ScopeError::Id`] for another length or alphabet.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if is_id(text) { Ok(Self(text.to_owned())) } else { Err(ScopeError::Id) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ClientId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for ClientId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for ClientId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// One scope of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeRef {
    scope_type: ScopeType,
    id: String,
}

impl ScopeRef {
    /// Reads type and id; the id must be of the kind its type demands.
    ///
    /// # Errors
    /// [`ScopeError`] for an unknown type or another kind of id.
    pub fn parse(scope_type: &str, id: &str) -> Result<Self, ScopeError> {
        let scope_type = ScopeType::parse(scope_type).ok_or(ScopeError::ScopeType)?;
        let valid = match scope_type {
            ScopeType::User => UserId::parse(id).is_ok(),
            ScopeType::Workspace => WorkspaceId::parse(id).is_ok(),
            ScopeType::Project => ProjectId::parse(id).is_ok(),
            ScopeType::Collection | ScopeType::Environment => is_id(id),
        };
        if valid { Ok(Self { scope_type, id: id.to_owned() }) } else { Err(ScopeError::ScopeId) }
    }

    /// Its type.
    #[must_use]
    pub const fn scope_type(&self) -> ScopeType {
        self.scope_type
    }

    /// Its id, as text.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// One entity of a scope. Its text, `type/id`, is its key in the stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey {
    entity_type: String,
    id: String,
}

impl EntityKey {
    /// Reads type (an open list) and id.
    ///
    /// # Errors
    /// [`ScopeError`] for another alphabet or length of either.
    pub fn parse(entity_type: &str, id: &str) -> Result<Self, ScopeError> {
        if !is_entity_type(entity_type) {
            return Err(ScopeError::EntityType);
        }
        if !is_id(id) {
            return Err(ScopeError::Id);
        }
        Ok(Self { entity_type: entity_type.to_owned(), id: id.to_owned() })
    }

    /// Its type.
    #[must_use]
    pub fn entity_type(&self) -> &str {
        &self.entity_type
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl std::fmt::Display for EntityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.entity_type, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_id_is_of_the_kind_its_type_demands() {
        let user = UserId::from_uuid(uuid::Uuid::nil()).to_string();
        assert!(ScopeRef::parse("user", &user).is_ok());
        assert!(ScopeRef::parse("collection", "c-1").is_ok());
        assert_eq!(ScopeRef::parse("project", &user), Err(ScopeError::ScopeId));
        assert_eq!(ScopeRef::parse("collection", "a/b"), Err(ScopeError::ScopeId));
        assert_eq!(ScopeRef::parse("team", "a"), Err(ScopeError::ScopeType));
    }

    #[test]
    fn an_entity_key_cannot_be_read_two_ways() {
        assert_eq!(EntityKey::parse("request", "R_1").map(|key| key.to_string()).as_deref(), Ok("request/R_1"));
        for (entity_type, id) in [("", "a"), ("Request", "a"), ("1a", "a"), ("a/b", "c"), ("a", ""), ("a", "b/c")] {
            assert!(EntityKey::parse(entity_type, id).is_err(), "{entity_type} {id}");
        }
        assert!(ClientId::parse(&"c".repeat(65)).is_err());
    }
}
