//! Tokens before and around their signature: reading one, finding its key, judging its claims.
//!
//! In scope: compact JWS with `EdDSA`, `ES256` or `RS256`; key sets; issuer, audience and times. Out of scope: the signature
//! itself, which `WebCrypto` verifies over [`Unverified::signing_input`], and fetching key sets.

mod claims;
mod keys;

pub use claims::{Claims, IssuerConfig, LEEWAY_S, check, parse_issuers};
pub use keys::{Jwk, Jwks};

use serde::Deserialize;

use crate::encoding::from_base64url;
use crate::refusal::Code;

/// The longest token, in bytes. Longer ones are refused before anything is decoded.
pub const MAX_TOKEN: usize = 8192;

text_enum! {
    /// The signatures we take. No `none`, and nothing with a shared secret.
    pub enum Algorithm {
        /// Ed25519.
        EdDsa = "EdDSA",
        /// ECDSA on P-256 with SHA-256.
        Es256 = "ES256",
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        Rs256 = "RS256",
    }
}

/// Why a token is not a credential here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`MAX_TOKEN`].
    #[error("The token is longer than 8192 bytes.")]
    TooLarge,
    /// Not three parts of base64url, or parts that are not what a JWT has.
    #[error("The token is not a JSON Web Token.")]
    Malformed,
    /// `alg` is none of ours.
    #[error("The token's algorithm must be EdDSA, ES256 or RS256.")]
    Algorithm,
    /// No `kid`.
    #[error("The token names no key.")]
    NoKeyId,
    /// `kid` is not in the issuer's key set, or its key is of another kind.
    #[error("The token's key is not one of its issuer's.")]
    UnknownKey,
    /// The signature is another.
    #[error("The token's signature is not valid.")]
    Signature,
    /// `iss` is none of ours.
    #[error("The token's issuer is not accepted here.")]
    Issuer,
    /// `aud` does not name us.
    #[error("The token is for another audience.")]
    Audience,
    /// `exp` has passed.
    #[error("The token has expired.")]
    Expired,
    /// `nbf` or `iat` lies ahead.
    #[error("The token is not valid yet.")]
    NotYetValid,
}

impl TokenError {
    /// The code a caller is answered with.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Expired => Code::TokenExpired,
            Self::NotYetValid => Code::TokenNotYetValid,
            _ => Code::InvalidToken,
        }
    }
}

/// A token that was read but not verified. Nothing in it is true yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Unverified {
    algorithm: Algorithm,
    key_id: String,
    signing_input: String,
    signature: Vec<u8>,
    claims: Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

impl Unverified {
    /// Reads a compact token.
    ///
    /// # Errors
    /// [`TokenError`] when too large, malformed, of another algorithm, without a key id, or with critical extensions
    /// (RFC 7515 4.1.11: whoever does not know them must refuse).
    pub fn parse(token: &str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLarge);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = part(header)?;
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let algorithm = Algorithm::parse(&header.alg).ok_or(TokenError::Algorithm)?;
        let key_id = header.kid.filter(|kid| !kid.is_empty()).ok_or(TokenError::NoKeyId)?;
        let claims: Claims = part(payload)?;
        let signature = from_base64url(signature).ok_or(TokenError::Malformed)?;
        Ok(Self { algorithm, key_id, signing_input: signing_input.to_owned(), signature, claims: claims.valid()? })
    }

    /// How it claims to be signed.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key it names (`kid`).
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The bytes the signature is over.
    #[must_use]
    pub fn signing_input(&self) -> &[u8] {
        self.signing_input.as_bytes()
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// What it claims.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, TokenError> {
    let bytes = from_base64url(text).ok_or(TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::to_base64url;

    fn token(header: &str, claims: &str) -> String {
        format!(
            "{}.{}.{}",
            to_base64url(header.as_bytes()),
            to_base64url(claims.as_bytes()),
            to_base64url(b"signature")
        )
    }

    const HEADER: &str = r#"{"alg":"EdDSA","kid":"k1"}"#;
    const CLAIMS: &str = r#"{"iss":"https://issuer","aud":"drey","sub":"ada","exp":1000}"#;

    #[test]
    fn a_token_comes_apart() {
        let token = Unverified::parse(&token(HEADER, CLAIMS)).expect("token");
        assert_eq!((token.algorithm(), token.key_id(), token.signature()), (Algorithm::EdDsa, "k1", &b"signature"[..]));
        assert_eq!(token.claims().sub, "ada");
        let input = format!("{}.{}", to_base64url(HEADER.as_bytes()), to_base64url(CLAIMS.as_bytes()));
        assert_eq!(token.signing_input(), input.as_bytes());
    }

    #[test]
    fn what_is_no_credential_is_refused() {
        for (header, claims, expected) in [
            (r#"{"alg":"none","kid":"k1"}"#, CLAIMS, TokenError::Algorithm),
            (r#"{"alg":"HS256","kid":"k1"}"#, CLAIMS, TokenError::Algorithm),
            (r#"{"alg":"EdDSA"}"#, CLAIMS, TokenError::NoKeyId),
            (r#"{"alg":"EdDSA","kid":"k1","crit":["b64"]}"#, CLAIMS, TokenError::Malformed),
            (HEADER, "[]", TokenError::Malformed),
            (HEADER, r#"{"iss":"i","aud":"a","sub":"ada"}"#, TokenError::Malformed),
            (HEADER, r#"{"iss":"i","aud":"a","sub":"","exp":1}"#, TokenError::Malformed),
            (HEADER, r#"{"iss":"i","aud":"a","sub":"ada","sub":"bob","exp":1}"#, TokenError::Malformed),
        ] {
            assert_eq!(Unverified::parse(&token(header, claims)), Err(expected), "{header} {claims}");
        }
        assert_eq!(Unverified::parse(&"a".repeat(MAX_TOKEN + 1)), Err(TokenError::TooLarge));
        for text in ["", ".", "..", "a.b.c", "....."] {
            assert_eq!(Unverified::parse(text), Err(TokenError::Malformed), "{text}");
        }
    }
}
