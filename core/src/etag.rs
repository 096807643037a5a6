//! Entity tags: of a version, of a body, and the two comparisons of RFC 9110.
//!
//! In scope: `ETag`, `If-None-Match` (weak comparison), `If-Match` (strong). Out of scope: dates, which we do not send.

use sha2::{Digest as _, Sha256};

use crate::encoding::to_base64url;

/// A header that is neither `*` nor a list of entity tags: the caller's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `*` or entity tags such as `\"7\"`")]
pub struct Malformed;

/// The tag of an item whose body is its row alone: the row's version, strong.
#[must_use]
pub fn version_tag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The tag of an item whose body also shows what other rows say (a role, a name): version and 64 bits of the body's
/// SHA-256, strong. It changes whenever the body does, and still says which version a change was made to.
#[must_use]
pub fn item_tag(version: i64, body: &[u8]) -> String {
    format!("\"{version}.{}\"", short_hash::<8>(body))
}

/// The tag of a body: 128 bits of its SHA-256, strong.
#[must_use]
pub fn body_tag(body: &[u8]) -> String {
    format!("\"{}\"", short_hash::<16>(body))
}

fn short_hash<const BYTES: usize>(body: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(body).into();
    to_base64url(digest.first_chunk::<BYTES>().map_or(&[][..], |first| first))
}

/// Whether the caller already holds this representation: `*`, or one of the tags, weakly compared.
#[must_use]
pub fn if_none_match(header: &str, tag: &str) -> bool {
    if header.trim() == "*" {
        return true;
    }
    let opaque = tag.strip_prefix("W/").unwrap_or(tag);
    tags(header).is_some_and(|tags| tags.iter().any(|(_, held)| *held == opaque))
}

/// Stands for `*` among versions, which begin at 1: any that stands, but there must be one.
pub const ANY_VERSION: i64 = 0;

/// The versions the caller would change, [`ANY_VERSION`] for `*`. Weak tags, and those that name no version, can never
/// match strongly: an empty list is a precondition that fails.
pub fn if_match(header: &str) -> Result<Vec<i64>, Malformed> {
    if header.trim() == "*" {
        return Ok(vec![ANY_VERSION]);
    }
    let tags = tags(header).ok_or(Malformed)?;
    let mut versions: Vec<i64> = tags.iter().filter(|(weak, _)| !weak).filter_map(|(_, tag)| version(tag)).collect();
    versions.sort_unstable();
    versions.dedup();
    Ok(versions)
}

/// Only the texts that [`version_tag`] and [`item_tag`] write: `"07"` and `"+7"` are other tags than `"7"`. The hash is
/// not looked at: what it covers beside the version cannot be changed by this request.
fn version(tag: &str) -> Option<i64> {
    let tag = tag.strip_prefix('"')?.strip_suffix('"')?;
    let number = tag.split_once('.').map_or(Some(tag), |(number, hash)| is_short_hash(hash).then_some(number))?;
    let version: i64 = number.parse().ok()?;
    (version > ANY_VERSION && version.to_string() == number).then_some(version)
}

/// Eight bytes are eleven characters of base64url.
fn is_short_hash(text: &str) -> bool {
    text.len() == 11 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The tags of a header, each with its weakness; the quotes stay. `None` if it is not such a list.
fn tags(header: &str) -> Option<Vec<(bool, &str)>> {
    let mut found = Vec::new();
    let mut rest = header.trim();
    loop {
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let inner = quoted.strip_prefix('"')?;
        let end = inner.find('"')?;
        found.push((weak, quoted.get(..end + 2)?));
        rest = inner.get(end + 1..)?.trim_start();
        if rest.is_empty() {
            return Some(found);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weak_comparison_ignores_weakness() {
        for (header, held) in [
            ("*", true),
            ("\"7\"", true),
            ("W/\"7\"", true),
            ("\"6\", W/\"7\"", true),
            ("\"a,b\",\"7\"", true),
            ("\"6\"", false),
            ("7", false),
            ("", false),
            ("\"7", false),
        ] {
            assert_eq!(if_none_match(header, "\"7\""), held, "{header}");
        }
    }

    #[test]
    fn the_strong_comparison_wants_versions() {
        for (header, expected) in [
            ("*", Ok(vec![ANY_VERSION])),
            ("\"0\"", Ok(vec![])),
            ("\"-1\"", Ok(vec![])),
            ("\"7\"", Ok(vec![7])),
            ("\"7.RBNvo1WzZ4o\"", Ok(vec![7])),
            (" \"7\" , W/\"8\" ", Ok(vec![7])),
            ("\"8\",\"7\", \"8.RBNvo1WzZ4o\"", Ok(vec![7, 8])),
            ("W/\"7\"", Ok(vec![])),
            ("\"07\"", Ok(vec![])),
            ("\"7.\"", Ok(vec![])),
            ("\"7.RBNvo1WzZ4o=\"", Ok(vec![])),
            ("\"abc\"", Ok(vec![])),
            ("7", Err(Malformed)),
            ("", Err(Malformed)),
        ] {
            assert_eq!(if_match(header), expected, "{header}");
        }
    }

    /// Browsers keep the tag beside the body: a change here re-sends everything once, nothing worse.
    #[test]
    fn the_tag_of_a_body_is_fixed() {
        assert_eq!(body_tag(b"{}"), "\"RBNvo1WzZ4oRRq0W9-hkng\"");
        assert_eq!(item_tag(7, b"{}"), "\"7.RBNvo1WzZ4o\"");
    }
}
