//! For how long things are held: the document's numbers, their bounds, and what comes of them.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Scope, Wrong, within, wrong};

/// One list of lifetimes: the name in the document, the environment's variable, the default, the bounds, whose document
/// may have it.
macro_rules! lifetimes {
    ($($(#[$doc:meta])* $name:ident = $variable:literal: $default:literal, $bounds:expr, $whose:ident;)*) => {
        /// How long things are held, in milliseconds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        pub struct Ttl {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Default for Ttl {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct TtlOverride {
            $($name: Option<u64>,)*
        }

        impl TtlOverride {
            /// The upper ends are the published bounds; the lower ones keep everybody from asking at every call.
            pub(super) fn check(&self, scope: Scope) -> Result<(), Wrong> {
                $(check(stringify!($name), self.$name, &$bounds, Scope::$whose, scope)?;)*
                Ok(())
            }
        }

        impl Ttl {
            /// The numbers that `read` finds for these variables, the defaults where it finds none.
            ///
            /// # Errors
            /// Those of `read`.
            pub fn read<E>(mut read: impl FnMut(&'static str, u64) -> Result<u64, E>) -> Result<Self, E> {
                Ok(Self { $($name: read($variable, $default)?,)* })
            }

            pub(super) fn with(self, given: &TtlOverride) -> Self {
                Self { $($name: given.$name.unwrap_or(self.$name),)* }
            }
        }
    };
}

lifetimes! {
    /// Role, revision and epoch, in isolates.
    workspace_lease_ms = "WORKSPACE_LEASE_MS": 1_000, 50..=1_000, Org;
    /// Tokens, in isolates.
    token_lease_ms = "TOKEN_LEASE_MS": 5_000, 100..=5_000, Org;
    /// What a gate knows, before it asks again. With the 200 ms of a slow refresh and a lease of a second: effective in 5 s.
    gate_refresh_ms = "GATE_REFRESH_MS": 3_800, 250..=3_800, Org;
    /// What a gate knows, while Postgres does not answer.
    gate_stale_ms = "GATE_STALE_MS": 60_000, 0..=60_000, Org;
    /// Key sets of issuers.
    jwks_ttl_ms = "JWKS_TTL_MS": 600_000, 10_000..=3_600_000, Platform;
    /// Versions of public tags.
    tag_refresh_ms = "TAG_REFRESH_MS": 5_000, 100..=5_000, Platform;
    /// Copies of tenants' answers, in the Cache API and Redis. They name their revision, so they are never wrong, and only
    /// end to make room.
    copy_ms = "COPY_MS": 300_000, 1_000..=300_000, Platform;
    /// That something is not there, at a revision: worth less than a copy, and whoever guesses ids makes many.
    absent_ms = "ABSENT_MS": 30_000, 1_000..=30_000, Platform;
    /// Public answers of the short profile, by everybody.
    public_short_ms = "PUBLIC_SHORT_MS": 60_000, 1_000..=3_600_000, Platform;
    /// The same of the medium profile.
    public_medium_ms = "PUBLIC_MEDIUM_MS": 300_000, 1_000..=3_600_000, Platform;
    /// The same of the long profile.
    public_long_ms = "PUBLIC_LONG_MS": 600_000, 1_000..=3_600_000, Platform;
}

fn check(
    name: &str,
    given: Option<u64>,
    bounds: &RangeInclusive<u64>,
    whose: Scope,
    scope: Scope,
) -> Result<(), Wrong> {
    if scope == Scope::Org && whose == Scope::Platform && given.is_some() {
        return wrong(format!("/ttl/{name}"), "It is the platform's: an organisation's document has none.");
    }
    within(&format!("/ttl/{name}"), given, bounds)
}
