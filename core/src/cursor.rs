//! The cursors of lists: where a page ended, bound to the query it belongs to.
//!
//! In scope: a text that is read back only whole, unchanged and for the same query. Out of scope: secrecy. Whoever knows
//! the checksum could build a cursor; it would name a position in a list he may read anyway, for row-level security still holds.

use uuid::Uuid;

use crate::encoding::{digest_of, from_base64url, to_base64url};
use crate::time::Timestamp;

/// The first byte of every cursor; a new layout gets a new one.
const VERSION: u8 = 1;

/// 64 bits: a changed cursor passes once in 1.8e19 tries.
const CHECKSUM_LENGTH: usize = 8;

/// Longer than any cursor we write; checked before decoding.
const MAX_LENGTH: usize = 256;

/// A text that is not a cursor of this query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The cursor is not one of this list; start again without it.")]
pub struct CursorError;

/// Writes and reads cursors. A binding is the text of everything that makes the query: route, tenant, filters, order.
#[derive(Clone, Copy, Debug)]
pub struct Cursor;

impl Cursor {
    /// The cursor after the row of this creation time (as Postgres printed it) and id.
    #[must_use]
    pub fn encode(created_at: &str, id: Uuid, binding: &str) -> String {
        let mut payload = id.as_bytes().to_vec();
        payload.extend_from_slice(created_at.as_bytes());
        seal(&payload, binding)
    }

    /// The creation time, exactly as it was given, and the id.
    ///
    /// # Errors
    /// [`CursorError`] if the text was changed, cut, made for another query, or holds no instant.
    pub fn decode(text: &str, binding: &str) -> Result<(String, Uuid), CursorError> {
        let payload = open(text, binding)?;
        let (id, created_at) = payload.split_first_chunk::<16>().ok_or(CursorError)?;
        let created_at = std::str::from_utf8(created_at).map_err(|_| CursorError)?;
        Timestamp::parse(created_at).map_err(|_| CursorError)?;
        Ok((created_at.to_owned(), Uuid::from_bytes(*id)))
    }

    /// The cursor after a text key, for lists that are ordered by one.
    #[must_use]
    pub fn encode_key(key: &str, binding: &str) -> String {
        seal(key.as_bytes(), binding)
    }

    /// The text key.
    ///
    /// # Errors
    /// [`CursorError`] if the text was changed, cut or made for another query.
    pub fn decode_key(text: &str, binding: &str) -> Result<String, CursorError> {
        String::from_utf8(open(text, binding)?).map_err(|_| CursorError)
    }
}

fn seal(payload: &[u8], binding: &str) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&checksum(payload, binding));
    bytes.extend_from_slice(payload);
    to_base64url(&bytes)
}

fn open(text: &str, binding: &str) -> Result<Vec<u8>, CursorError> {
    if text.len() > MAX_LENGTH {
        return Err(CursorError);
    }
    let bytes = from_base64url(text).ok_or(CursorError)?;
    let (version, rest) = bytes.split_first().ok_or(CursorError)?;
    let (sum, payload) = rest.split_first_chunk::<CHECKSUM_LENGTH>().ok_or(CursorError)?;
    if *version == VERSION && *sum == checksum(payload, binding) { Ok(payload.to_vec()) } else { Err(CursorError) }
}

fn checksum(payload: &[u8], binding: &str) -> [u8; CHECKSUM_LENGTH] {
    let digest = digest_of(&[b"drey cursor 1", binding.as_bytes(), payload]);
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0x0198_c0de_1234_7abc_8def_0123_4567_89ab);

    /// Clients hold cursors across a deploy: a change here breaks every list that is half read.
    #[test]
    fn the_text_of_a_cursor_is_fixed() {
        let text = Cursor::encode("2026-11-20 21:39:07.326361+00", ID, "projects ws_1");
        assert_eq!(text, "ASH8SPgxsh7MAZjA3hI0eryN7wEjRWeJqzIwMjYtMTEtMjAgMjE6Mzk6MDcuMzI2MzYxKzAw");
    }

    #[test]
    fn another_query_does_not_take_it() {
        let text = Cursor::encode("2026-11-20 21:39:07.326361+00", ID, "projects ws_1");
        assert_eq!(Cursor::decode(&text, "projects ws_2"), Err(CursorError));
        assert_eq!(Cursor::decode(&text, "projects ws_1"), Ok(("2026-11-20 21:39:07.326361+00".to_owned(), ID)));
    }

    #[test]
    fn a_cursor_without_an_instant_is_refused() {
        assert_eq!(Cursor::decode(&Cursor::encode("now()", ID, "x"), "x"), Err(CursorError));
        assert_eq!(Cursor::decode(&"A".repeat(1000), "x"), Err(CursorError));
        assert_eq!(Cursor::decode("", "x"), Err(CursorError));
    }
}
