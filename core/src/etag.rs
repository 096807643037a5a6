//! Entity tags: of a version, of a body, and the two comparisons of RFC 9110.
//!
//! In scope: `ETag`, `If-None-Match` (weak comparison), `If-Match` (strong). Out of scope: dates, which we do not send.

use sha2::{Digest as _, Sha256};

use crate::encoding::to_base64url;

/// Why an `If-Match` names no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EtagError {
    /// It is not a list of entity tags.
    #[error("must be `*` or entity tags such as `\"7\"`")]
    Malformed,
    /// Its tags are weak or not versions, so none can match strongly: the precondition has failed.
    #[error("must be a strong entity tag that an item was answered with")]
    NeverMatches,
    /// Several versions; a thing has one.
    #[error("must name one version")]
    Several,
}

/// The tag of an item: its version, strong.
#[must_use]
pub fn version_tag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The tag of a body: 128 bits of its SHA-256, strong.
#[must_use]
pub fn body_tag(body: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(body).into();
    format!("\"{}\"", to_base64url(digest.first_chunk::<16>().map_or(&[][..], |half| half)))
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

/// The version the caller demands; `None` for `*`, which any existing thing satisfies.
///
/// # Errors
/// [`EtagError::Malformed`] and [`EtagError::Several`] are the caller's mistake; [`EtagError::NeverMatches`] is a
/// precondition that fails.
pub fn if_match(header: &str) -> Result<Option<i64>, EtagError> {
    if header.trim() == "*" {
        return Ok(None);
    }
    let tags = tags(header).ok_or(EtagError::Malformed)?;
    let mut versions: Vec<i64> = tags.iter().filter(|(weak, _)| !weak).filter_map(|(_, tag)| version(tag)).collect();
    versions.sort_unstable();
    versions.dedup();
    match versions.as_slice() {
        [] => Err(EtagError::NeverMatches),
        [version] => Ok(Some(*version)),
        _ => Err(EtagError::Several),
    }
}

/// Only the text that [`version_tag`] writes: `"07"` and `"+7"` are other tags than `"7"`.
fn version(tag: &str) -> Option<i64> {
    let version = tag.trim_matches('"').parse().ok()?;
    (version_tag(version) == tag).then_some(version)
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
    fn the_strong_comparison_wants_one_version() {
        for (header, expected) in [
            ("*", Ok(None)),
            ("\"7\"", Ok(Some(7))),
            (" \"7\" , W/\"8\" ", Ok(Some(7))),
            ("\"7\",\"8\"", Err(EtagError::Several)),
            ("W/\"7\"", Err(EtagError::NeverMatches)),
            ("\"07\"", Err(EtagError::NeverMatches)),
            ("\"abc\"", Err(EtagError::NeverMatches)),
            ("7", Err(EtagError::Malformed)),
            ("", Err(EtagError::Malformed)),
        ] {
            assert_eq!(if_match(header), expected, "{header}");
        }
    }

    /// Browsers keep the tag beside the body: a change here re-sends everything once, nothing worse.
    #[test]
    fn the_tag_of_a_body_is_fixed() {
        assert_eq!(body_tag(b"{}"), "\"RBNvo1WzZ4oRRq0W9-hkng\"");
    }
}
