//! The key that makes a create happen once, and the fingerprint that tells a repeat from a misuse.
//!
//! In scope: reading `Idempotency-Key` (bare, as most clients send it, or quoted, as the IETF draft has it) and the
//! fingerprint. Out of scope: storing either.

use crate::encoding::digest_of;

/// A header that is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 visible ASCII characters, bare or in double quotes")]
pub struct KeyError;

/// An idempotency key: 1 to 255 visible ASCII characters, without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The longest key.
    pub const MAX: usize = 255;

    /// Reads the header. `"abc"` and `abc` are the same key.
    ///
    /// # Errors
    /// [`KeyError`] when empty, too long, of other characters, or with a stray quote.
    pub fn parse(header: &str) -> Result<Self, KeyError> {
        let header = header.trim_matches([' ', '\t']);
        let key = match header.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None if header.contains('"') => return Err(KeyError),
            None => header.to_owned(),
        };
        let valid = (1..=Self::MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if valid { Ok(Self(key)) } else { Err(KeyError) }
    }

    /// The key without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A structured-field string after its first quote (RFC 9651 4.2.5): only `\"` and `\\` are escapes.
fn unquote(quoted: &str) -> Result<String, KeyError> {
    let mut key = String::new();
    let mut rest = quoted.chars();
    loop {
        match rest.next().ok_or(KeyError)? {
            '"' if rest.as_str().is_empty() => return Ok(key),
            '"' => return Err(KeyError),
            '\\' => match rest.next() {
                Some(escaped @ ('"' | '\\')) => key.push(escaped),
                _ => return Err(KeyError),
            },
            plain => key.push(plain),
        }
    }
}

/// What a request is, for telling a repeat from another request under the same key.
#[must_use]
pub fn fingerprint(method: &str, path: &str, content_type: &str, body: &[u8]) -> [u8; 32] {
    digest_of(&[method.as_bytes(), path.as_bytes(), content_type.as_bytes(), body])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Option<&str>) {
        assert_eq!(Key::parse(header).ok().as_ref().map(Key::as_str), expected, "{header}");
    }

    #[test]
    fn bare_and_quoted_are_one_key() {
        check("8e03978e-40d5", Some("8e03978e-40d5"));
        check("\"8e03978e-40d5\"", Some("8e03978e-40d5"));
        check(r#""a\"b\\c""#, Some(r#"a"b\c"#));
        check(&"k".repeat(255), Some("k".repeat(255).as_str()));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for header in ["", "\"\"", "\"", "\"a", "a\"", "\"a\"b", "a b", "a, b", "ä", r#""\a""#, "\"a\\"] {
            check(header, None);
        }
        check(&"k".repeat(256), None);
    }

    /// Fingerprints are stored for a day: a change here answers 422 to every honest repeat of that day.
    #[test]
    fn the_fingerprint_is_fixed() {
        let print = fingerprint("POST", "/v1/orgs", "application/json", b"{\"name\":\"a\"}");
        assert_eq!(crate::encoding::to_hex(&print), "21671768eb67d080a2ac683ba2105ec283fb048ba210d708f0be6e4dd28907ea");
    }
}
