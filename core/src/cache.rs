//! How long an answer may be kept, by whom, and under which key we keep our own copy.
//!
//! In scope: the profiles of the route table and the key of the stored copy. Out of scope: keeping it.

pub mod tags;

use sha2::{Digest, Sha256};

use crate::id::WorkspaceId;
use crate::settings::Ttl;

/// How an answer may be kept. Every row of the route table names one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CacheProfile {
    /// By nobody. The default, and every error.
    #[default]
    NoStore,
    /// A tenant's lists and items: by the caller alone, and asked again each time (`ETag`).
    Tenant,
    /// A tenant's closed ranges and snapshots: by the caller alone, for a year, never asked again.
    Immutable,
    /// Public, one minute.
    PublicShort,
    /// Public, five minutes.
    PublicMedium,
    /// Public, ten minutes.
    PublicLong,
}

impl CacheProfile {
    /// Whether everybody may keep it.
    #[must_use]
    pub const fn is_public(self) -> bool {
        matches!(self, Self::PublicShort | Self::PublicMedium | Self::PublicLong)
    }

    /// The value of `Cache-Control` where no setting has a say in it. Tenant data is never `public`.
    #[must_use]
    pub const fn cache_control(self) -> Option<&'static str> {
        match self {
            Self::NoStore => Some("no-store"),
            Self::Tenant => Some(PRIVATE),
            Self::Immutable => Some("private, max-age=31536000, immutable"),
            Self::PublicShort | Self::PublicMedium | Self::PublicLong => None,
        }
    }

    /// For how many seconds everybody may keep a public answer; `None` for what is not public.
    #[must_use]
    pub fn public_seconds(self, ttl: &Ttl) -> Option<u32> {
        match self {
            Self::NoStore | Self::Tenant | Self::Immutable => None,
            Self::PublicShort => Some(seconds(ttl.public_short_ms)),
            Self::PublicMedium => Some(seconds(ttl.public_medium_ms)),
            Self::PublicLong => Some(seconds(ttl.public_long_ms)),
        }
    }

    /// The value of `Vary`, beyond what CORS adds: whose credential it was, for tenant data.
    #[must_use]
    pub const fn vary(self) -> Option<&'static str> {
        match self {
            Self::Tenant | Self::Immutable => Some("Authorization, x-api-key"),
            Self::NoStore | Self::PublicShort | Self::PublicMedium | Self::PublicLong => None,
        }
    }
}

/// Whole seconds, as caches count.
#[must_use]
pub fn seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(u32::MAX)
}

/// `Cache-Control` of what the caller alone may keep, and asks for again each time.
pub const PRIVATE: &str = "private, no-cache";

/// `Cache-Control` of a public answer.
#[must_use]
pub fn public_control(seconds: u32) -> String {
    format!("public, max-age={seconds}, s-maxage={seconds}, stale-while-revalidate={seconds}")
}

/// `CDN-Cache-Control` of a public answer (RFC 9213): there are caches for which `s-maxage` rules out serving stale.
#[must_use]
pub fn cdn_control(seconds: u32) -> String {
    format!("max-age={seconds}, stale-while-revalidate={seconds}")
}

/// The path of our own copy: workspace and visibility class first, so that no key of one tenant or class is a key of another.
///
/// `route` is the path that was asked for, `query` its raw query (the same parameters in another order are another
/// question: equal answers are only kept twice), `revision` the workspace's revision or the scope's epoch that the copy
/// was read at. The Worker puts an origin before it.
#[must_use]
pub fn key(workspace: WorkspaceId, visibility: &str, route: &str, query: &str, revision: i64) -> String {
    let (visibility, route, query) = (escape(visibility), escape(route), escape(query));
    format!("/1/{workspace}/{visibility}/{revision}/{route}/{query}")
}

/// What a store that others can write to holds under a key: a digest over key, headers and body, then both.
#[must_use]
pub fn sealed(key: &str, headers: &str, body: &str) -> String {
    format!("1 {}\n{headers}\n{body}", digest(key, headers, body))
}

/// Headers and body of what [`sealed`] made for this very key. Anything else (of another key, cut off, changed, of
/// another format) is nothing.
#[must_use]
pub fn unsealed<'a>(key: &str, text: &'a str) -> Option<(&'a str, &'a str)> {
    let (seal, rest) = text.strip_prefix("1 ")?.split_once('\n')?;
    let (headers, body) = rest.split_once('\n')?;
    (seal == digest(key, headers, body)).then_some((headers, body))
}

fn digest(key: &str, headers: &str, body: &str) -> String {
    let mut hash = Sha256::new();
    // Neither a key nor a line of headers holds a line feed: three texts never read as another three.
    for part in [key, "\n", headers, "\n", body] {
        hash.update(part.as_bytes());
    }
    crate::encoding::to_hex(&hash.finalize())
}

/// Escapes everything that could end a segment, the escape itself included: two texts never share one escape.
fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&crate::encoding::to_hex(&[byte]));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Copies outlive a deploy: a key that changes meaning would answer with another thing's body.
    #[test]
    fn the_key_of_a_copy_is_fixed() {
        let workspace = WorkspaceId::from_uuid(uuid::Uuid::nil());
        let route = "/v1/workspaces/ws_1/projects";
        assert_eq!(
            key(workspace, "viewer", route, "limit=2&cursor=a%2Fb", 7),
            "/1/ws_00000000000000000000000000/viewer/7/%2fv1%2fworkspaces%2fws_1%2fprojects/limit%3d2%26cursor%3da%252Fb"
        );
        assert_ne!(key(workspace, "viewer", route, "a=1&a=2", 7), key(workspace, "viewer", route, "a=2&a=1", 7));
    }

    #[test]
    fn a_public_profile_lasts_as_its_setting_says() {
        let profiles = [CacheProfile::PublicShort, CacheProfile::PublicMedium, CacheProfile::PublicLong];
        let of = |ttl: &Ttl| profiles.map(|profile| (profile.cache_control(), profile.public_seconds(ttl)));
        assert_eq!(of(&Ttl::default()), [(None, Some(60)), (None, Some(300)), (None, Some(600))]);
        let longer = Ttl { public_short_ms: 90_000, ..Ttl::default() };
        assert_eq!(of(&longer), [(None, Some(90)), (None, Some(300)), (None, Some(600))]);
        assert_eq!(public_control(60), "public, max-age=60, s-maxage=60, stale-while-revalidate=60");
        assert_eq!(cdn_control(60), "max-age=60, stale-while-revalidate=60");
    }

    /// The second cache outlives deploys too.
    #[test]
    fn the_form_of_a_sealed_copy_is_fixed() {
        let sealed = sealed("/1/a", "[]", "{}");
        assert_eq!(sealed, "1 0d80a391889a51550d66f50f7860d689b1e5ae16faf8c3150ce02b658919fa46\n[]\n{}");
        assert_eq!(unsealed("/1/a", &sealed), Some(("[]", "{}")));
    }

    #[test]
    fn what_was_not_sealed_for_this_key_is_nothing() {
        let text = sealed("/1/a", "[[\"etag\",\"1\"]]", "{\"a\":\n1}");
        assert_eq!(unsealed("/1/a", &text), Some(("[[\"etag\",\"1\"]]", "{\"a\":\n1}")));
        assert_eq!(unsealed("/1/b", &text), None);
        let cut = text.get(..text.len() - 1).unwrap_or_default();
        let changed =
            [cut, &text.replace('a', "b"), &text.replacen('1', "2", 1), &format!("{text} "), "", "1 ", "\n\n"];
        for lie in changed {
            assert_eq!(unsealed("/1/a", lie), None, "{lie}");
        }
    }

    #[test]
    fn tenant_data_is_never_public() {
        for profile in [CacheProfile::NoStore, CacheProfile::Tenant, CacheProfile::Immutable] {
            assert!(profile.cache_control().is_some_and(|control| !control.contains("public")));
        }
        assert_eq!(CacheProfile::default(), CacheProfile::NoStore);
    }
}
