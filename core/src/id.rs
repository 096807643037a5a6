//! The ids of everything that has one: a prefix that names the kind, and a UUID (version 7 when minted here) in base32.
//!
//! In scope: `TypeID` text (`ws_01kb…`, 26 characters of Crockford base32 after the prefix), one type per kind, so that a
//! project's id cannot stand where a workspace's belongs. Out of scope: whether the thing exists, and whose it is.

use uuid::Uuid;

/// Crockford base32 in lower case: no `i`, `l`, `o`, `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 128 bits in steps of 5, rounded up.
const SUFFIX_LENGTH: usize = 26;

/// Why a text is not an id of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It does not begin with the kind's prefix and an underscore.
    #[error("must begin with `{expected}_`")]
    Prefix {
        /// The prefix of the kind asked for.
        expected: &'static str,
    },
    /// What follows the prefix is not 26 characters of base32 that fit 128 bits.
    #[error("must be `{expected}_` and 26 characters of base32 (0-9 a-z without i, l, o, u)")]
    Suffix {
        /// The prefix of the kind asked for.
        expected: &'static str,
    },
}

fn encode(prefix: &str, uuid: Uuid) -> String {
    let value = uuid.as_u128();
    let mut text = String::with_capacity(prefix.len() + 1 + SUFFIX_LENGTH);
    text.push_str(prefix);
    text.push('_');
    for place in (0..SUFFIX_LENGTH).rev() {
        let digit = usize::try_from(value >> (place * 5) & 31).unwrap_or(0);
        text.push(char::from(ALPHABET.get(digit).copied().unwrap_or(b'0')));
    }
    text
}

fn decode(prefix: &'static str, text: &str) -> Result<Uuid, IdError> {
    let suffix = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .ok_or(IdError::Prefix { expected: prefix })?;
    decode_suffix(suffix).map(Uuid::from_u128).ok_or(IdError::Suffix { expected: prefix })
}

/// 26 digits hold 130 bits: the first may only be 0 to 7, else two texts would name one id.
fn decode_suffix(suffix: &str) -> Option<u128> {
    if suffix.len() != SUFFIX_LENGTH || suffix.as_bytes().first().is_some_and(|first| *first > b'7') {
        return None;
    }
    suffix.bytes().try_fold(0_u128, |value, byte| {
        let digit = ALPHABET.iter().position(|letter| *letter == byte)?;
        Some(value << 5 | u128::try_from(digit).ok()?)
    })
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $prefix:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What stands before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Reads the canonical text, and only that.
            ///
            /// # Errors
            /// [`IdError`] for another prefix, another length, upper case, or a value above 128 bits.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                decode(Self::PREFIX, text).map(Self)
            }

            /// The id of a UUID read from the database.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID, as the database holds it.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// A new id: `UUIDv7` of milliseconds since 1970 and ten random bytes. Later ids sort after earlier ones.
            #[must_use]
            pub const fn mint(now_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&encode(Self::PREFIX, self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A person, as one issuer and subject of a token name them.
    UserId, "user"
);
id!(
    /// An organisation: who pays, and what a plan belongs to.
    OrgId, "org"
);
id!(
    /// A workspace: the tenant of everything below it.
    WorkspaceId, "ws"
);
id!(
    /// A project inside a workspace.
    ProjectId, "prj"
);
id!(
    /// An invitation into an organisation.
    InvitationId, "inv"
);
id!(
    /// An API key of a workspace.
    ApiKeyId, "key"
);
id!(
    /// An entry of the audit log.
    EventId, "evt"
);
id!(
    /// A write that met another and was kept beside it. Also the client id of the mutation that resolves it.
    DivergenceId, "div"
);
id!(
    /// A session of a sync client.
    SessionId, "ses"
);
id!(
    /// One request, as logs and problems name it.
    RequestId, "req"
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients keep these texts and the database keeps the UUID: a change here orphans every stored link.
    #[test]
    fn the_text_of_an_id_is_fixed() {
        let uuid = Uuid::from_u128(0x0198_c0de_1234_7abc_8def_0123_4567_89ab);
        assert_eq!(WorkspaceId::from_uuid(uuid).to_string(), "ws_01k30dw4hmfay8vvr14d2pf2db");
        // A vector of the TypeID specification.
        let vector = Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057);
        assert_eq!(OrgId::from_uuid(vector).to_string(), "org_01h455vb4pex5vsknk084sn02q");
        assert_eq!(UserId::from_uuid(Uuid::nil()).to_string(), "user_00000000000000000000000000");
        assert_eq!(OrgId::from_uuid(Uuid::max()).to_string(), "org_7zzzzzzzzzzzzzzzzzzzzzzzzz");
    }

    #[test]
    fn a_minted_id_is_a_version_7_uuid_of_its_time() {
        let uuid = EventId::mint(0x0199_0000_0001, [0xff; 10]).uuid();
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(uuid.as_u128() >> 80, 0x0199_0000_0001);
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let prefix = Err(IdError::Prefix { expected: "ws" });
        let suffix = Err(IdError::Suffix { expected: "ws" });
        for (text, expected) in [
            ("", prefix),
            ("ws", prefix),
            ("org_01k30dw4hmfay8vvr14d2pf2db", prefix),
            ("WS_01k30dw4hmfay8vvr14d2pf2db", prefix),
            ("ws_", suffix),
            ("ws_01k30dw4hmfay8vvr14d2pf2d", suffix),
            ("ws_01k30dw4hmfay8vvr14d2pf2dbb", suffix),
            ("ws_81k30dw4hmfay8vvr14d2pf2db", suffix),
            ("ws_01K30DW4HMFAY8VVR14D2PF2DB", suffix),
            ("ws_01k30dw4hmfay8vvr14d2pf2dl", suffix),
            (" ws_01k30dw4hmfay8vvr14d2pf2db", prefix),
        ] {
            assert_eq!(WorkspaceId::parse(text), expected, "{text}");
        }
    }
}
