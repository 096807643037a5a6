//! API keys: their text, what they permit, and where they may come from.
//!
//! In scope: `drey_<env>_<id>_<secret><crc>`, scopes, address ranges. Out of scope: making the secret (the Worker), and
//! whether a key is still one (the database).
//!
//! The checksum is CRC32 in base62 over everything before it. It refuses every single wrong character, every swap of two
//! neighbours and all but one in four thousand million of the rest without asking anybody: a typo costs no look-up, and a
//! scanner for leaked secrets has no false alarms.

mod address;
mod scope;

pub use address::{AddressError, AddressRange};
pub use scope::{Scope, ScopeError, Scopes};

use crate::id::ApiKeyId;

/// What every key begins with, so that scanners and readers know whose it is.
const BRAND: &str = "drey_";
/// The alphabet has no `-` or `_`: a double click selects a secret whole.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 is the first power of 62 above 2^256.
const SECRET_DIGITS: usize = 43;
/// 62^6 is the first power of 62 above 2^32.
const CHECKSUM_DIGITS: usize = 6;

text_enum! {
    /// Where a key works. It stands in the key, so that one of staging is refused in production by its look.
    pub enum KeyEnvironment {
        /// `npm run dev` and the tests.
        Development = "dev",
        /// Deployed for trying out.
        Staging = "stg",
        /// Deployed for users.
        Production = "live",
    }
}

/// Why a text is no key here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// Of another shape.
    #[error("The API key does not have the shape of one.")]
    Shape,
    /// The checksum is another: something was mistyped or cut off.
    #[error("The API key's checksum does not fit: a character is wrong or missing.")]
    Checksum,
    /// Made for another environment.
    #[error("The API key is one of another environment.")]
    Environment,
}

/// Whether a credential says of itself that it is an API key: no JSON Web Token begins like one.
#[must_use]
pub fn is_api_key(credential: &str) -> bool {
    credential.starts_with(BRAND)
}

/// The text of a key. Whoever holds it is the key: it is shown once and written nowhere.
#[must_use]
pub fn compose(environment: KeyEnvironment, id: ApiKeyId, secret: &[u8; 32]) -> String {
    let mut text = format!("{BRAND}{environment}_{id}_");
    text.push_str(&base62(secret, SECRET_DIGITS));
    let checksum = checksum(&text);
    text.push_str(&checksum);
    text
}

/// The id in a key whose checksum fits. Nothing else about it is known yet.
///
/// # Errors
/// [`ApiKeyError`] for everything [`compose`] would not have written for this environment.
pub fn parse(environment: KeyEnvironment, text: &str) -> Result<ApiKeyId, ApiKeyError> {
    let split = text.len().checked_sub(CHECKSUM_DIGITS).and_then(|at| text.split_at_checked(at));
    let (body, sum) = split.ok_or(ApiKeyError::Shape)?;
    if checksum(body) != sum {
        return Err(ApiKeyError::Checksum);
    }
    let (head, secret) = body.rsplit_once('_').ok_or(ApiKeyError::Shape)?;
    let (written, id) = head.strip_prefix(BRAND).and_then(|rest| rest.split_once('_')).ok_or(ApiKeyError::Shape)?;
    let written = KeyEnvironment::parse(written).ok_or(ApiKeyError::Shape)?;
    let id = ApiKeyId::parse(id).map_err(|_| ApiKeyError::Shape)?;
    if secret.len() != SECRET_DIGITS || !secret.bytes().all(|byte| BASE62.contains(&byte)) {
        return Err(ApiKeyError::Shape);
    }
    if written == environment { Ok(id) } else { Err(ApiKeyError::Environment) }
}

fn checksum(text: &str) -> String {
    base62(&crc32(text.as_bytes()).to_be_bytes(), CHECKSUM_DIGITS)
}

/// A big-endian number in base62, padded to so many digits: schoolbook division, one digit a round.
fn base62(number: &[u8], digits: usize) -> String {
    let mut rest = number.to_vec();
    let mut reversed = Vec::with_capacity(digits);
    for _ in 0..digits {
        let remainder = rest.iter_mut().fold(0_u32, |carry, byte| {
            let value = carry << 8 | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or_default();
            value % 62
        });
        let digit = usize::try_from(remainder).ok().and_then(|digit| BASE62.get(digit)).copied();
        reversed.push(char::from(digit.unwrap_or(b'0')));
    }
    reversed.into_iter().rev().collect()
}

/// CRC-32 of IEEE 802.3, reflected, bit by bit: a key has 90 bytes, so a table would cost more than it saves.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const ID: ApiKeyId = ApiKeyId::from_uuid(Uuid::from_u128(0x0198_c0de_1234_7abc_8def_0123_4567_89ab));

    /// Keys live for years in other people's configuration: a change here would lock them all out.
    #[test]
    fn the_text_of_a_key_is_fixed() {
        let key = compose(KeyEnvironment::Production, ID, &[0xff; 32]);
        assert_eq!(key, "drey_live_key_01k30dw4hmfay8vvr14d2pf2db_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp12WDzHh");
        assert_eq!(parse(KeyEnvironment::Production, &key), Ok(ID));
    }

    #[test]
    fn the_checksum_is_the_crc_everybody_knows() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(
            (base62(&[0; 4], 6), base62(&u32::MAX.to_be_bytes(), 6)),
            ("000000".to_owned(), "4gfFC3".to_owned())
        );
    }

    #[test]
    fn what_is_no_key_here_is_refused_by_its_look() {
        let key = compose(KeyEnvironment::Staging, ID, &[7; 32]);
        assert_eq!(parse(KeyEnvironment::Production, &key), Err(ApiKeyError::Environment));
        for text in ["", "drey_", "é", "drey_live_key__000000", "ééééééé"] {
            assert!(parse(KeyEnvironment::Production, text).is_err(), "{text}");
        }
        let signed = |body: &str| format!("{body}{}", checksum(body));
        for body in ["drey", "drey_live_key_x_y", "drey_live_key_01k30dw4hmfay8vvr14d2pf2db_short"] {
            assert_eq!(parse(KeyEnvironment::Production, &signed(body)), Err(ApiKeyError::Shape), "{body}");
        }
        assert!(is_api_key(&key) && !is_api_key("eyJhbGciOiJFZERTQSJ9.e30."));
    }
}
