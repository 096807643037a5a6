//! What a key may do of what its creator may.
//!
//! In scope: the closed list and sets of it. Out of scope: which route needs which (the route table says so).

text_enum! {
    /// One thing a key may do. None includes another.
    pub enum Scope {
        /// Reads the workspace, its members and projects.
        Read = "read",
        /// Creates, changes and deletes projects.
        Write = "write",
        /// Pushes and reads documents.
        Sync = "sync",
        /// Joins the room and sees who is there.
        Presence = "presence",
        /// Governs the workspace and its members, reads the audit.
        Admin = "admin",
    }
}

/// A list of scopes that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must name one or more of read, write, sync, presence, admin, each once")]
pub struct ScopeError;

/// One or more scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// The set of these scopes.
    ///
    /// # Errors
    /// [`ScopeError`] when there is none, or one twice.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Result<Self, ScopeError> {
        let bits = scopes.into_iter().try_fold(0_u8, |bits, scope| {
            let bit = Self::bit(scope);
            if bits & bit == 0 { Ok(bits | bit) } else { Err(ScopeError) }
        })?;
        if bits == 0 { Err(ScopeError) } else { Ok(Self(bits)) }
    }

    /// Reads names with commas between them, as the database gives them.
    ///
    /// # Errors
    /// [`ScopeError`] for an unknown name, none, or one twice.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let scopes: Option<Vec<Scope>> = text.split(',').map(Scope::parse).collect();
        Self::new(scopes.ok_or(ScopeError)?)
    }

    /// Whether this scope is one of them.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & Self::bit(scope) != 0
    }

    const fn bit(scope: Scope) -> u8 {
        1 << scope as u8
    }

    fn list(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.contains(*scope))
    }
}

/// Their names in the order of the declaration, with commas between them.
impl std::fmt::Display for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.list().map(Scope::as_str).collect();
        f.write_str(&names.join(","))
    }
}

impl serde::Serialize for Scopes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.list())
    }
}

impl<'de> serde::Deserialize<'de> for Scopes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scopes = <Vec<Scope> as serde::Deserialize>::deserialize(deserializer)?;
        Self::new(scopes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_text() {
        let scopes = Scopes::new([Scope::Admin, Scope::Read]).expect("scopes");
        assert_eq!(scopes.to_string(), "read,admin");
        assert_eq!(Scopes::parse("admin,read"), Ok(scopes));
        assert_eq!(serde_json::to_string(&scopes).expect("json"), r#"["read","admin"]"#);
        assert!(scopes.contains(Scope::Admin) && !scopes.contains(Scope::Write));
    }

    #[test]
    fn none_twice_and_unknown_are_refused() {
        for text in ["", "read,read", "read,", "Read", "all"] {
            assert_eq!(Scopes::parse(text), Err(ScopeError), "{text}");
        }
        for json in ["[]", r#"["read","read"]"#, r#"["all"]"#, r#""read""#] {
            assert!(serde_json::from_str::<Scopes>(json).is_err(), "{json}");
        }
    }
}
