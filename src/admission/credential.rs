//! From `Authorization: Bearer` (or `x-api-key`) to a principal: verified once per isolate, remembered by the digest of the whole token.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use drey_core::api_key::is_api_key;
use drey_core::jwt::{LEEWAY_S, MAX_TOKEN, TokenError, Unverified, check};
use drey_core::refusal::Code;
use drey_store::{Caller, Session, user};
use lru::LruCache;
use sha2::{Digest, Sha256};

use super::jwks::{KeyName, KeySets};
use super::{Principal, api_key, flood};
use crate::edge::boundary::Header;
use crate::edge::{clock, crypto, random};
use crate::problem::{Outcome, Problem};
use crate::request::Request;

/// Verified tokens kept per isolate: 4,096 of them are under 1 MB.
const MOST_VERIFIED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

#[derive(Debug)]
struct Entry {
    principal: Principal,
    issuer: Rc<str>,
    kid: String,
}

/// The tokens this isolate has verified.
#[derive(Debug)]
pub struct Verified {
    entries: RefCell<LruCache<[u8; 32], Entry>>,
}

impl Default for Verified {
    fn default() -> Self {
        Self { entries: RefCell::new(LruCache::new(MOST_VERIFIED)) }
    }
}

impl Verified {
    /// The principal of a token seen before, unless it has expired or its key has left the issuer's set.
    fn find(&self, digest: &[u8; 32], now_ms: u64, holds: impl Fn(&str, &str) -> bool) -> Option<(Principal, Rc<str>)> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get(digest)?;
        if entry.principal.expires_ms > now_ms && holds(&entry.issuer, &entry.kid) {
            return Some((entry.principal.clone(), Rc::clone(&entry.issuer)));
        }
        entries.pop(digest);
        None
    }

    fn insert(&self, digest: [u8; 32], entry: Entry) {
        self.entries.borrow_mut().put(digest, entry);
    }
}

/// Verifies the caller's credential. Neither kind is ever read from the query.
pub(super) async fn verify(request: &Request<'_>) -> Outcome<Principal> {
    match brought(request) {
        Ok(Brought::Key(key)) => api_key::verify(request, key).await,
        Ok(Brought::Token(text)) => token(request, text).await,
        Err(problem) => {
            flood::stranger(request).await?;
            Err(problem)
        }
    }
}

enum Brought<'a> {
    Key(&'a str),
    Token(&'a str),
}

fn brought<'a>(request: &'a Request<'_>) -> Outcome<Brought<'a>> {
    match (request.head.header(Header::ApiKey), request.head.header(Header::Authorization)) {
        (Some(_), Some(_)) => Err(two_credentials()),
        (Some(key), None) => short(key).map(Brought::Key),
        (None, Some(header)) => {
            let text = bearer(header)?;
            Ok(if is_api_key(text) { Brought::Key(text) } else { Brought::Token(text) })
        }
        (None, None) => Err(no_credential()),
    }
}

/// Verifies a JSON Web Token. Everything before the signature is cheap; everything after the first success of a token is
/// one look-up.
async fn token(request: &Request<'_>, token: &str) -> Outcome<Principal> {
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let now_ms = clock::now_ms();
    let holds = |issuer: &str, kid: &str| request.app.keys.holds(issuer, kid);
    if let Some((principal, issuer)) = request.app.verified.find(&digest, now_ms, holds) {
        KeySets::refresh_aside(request, &issuer, now_ms);
        return Ok(principal);
    }
    flood::stranger(request).await?;
    let entry = prove(request, token, now_ms).await?;
    let principal = entry.principal.clone();
    request.app.verified.insert(digest, entry);
    Ok(principal)
}

pub(super) fn bearer(header: &str) -> Outcome<&str> {
    let (scheme, token) = header.split_once(' ').ok_or_else(no_credential)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(no_credential());
    }
    short(token)
}

/// Above this even hashing would be work done for a stranger.
fn short(credential: &str) -> Outcome<&str> {
    let credential = credential.trim();
    if credential.len() > MAX_TOKEN { Err(refused(TokenError::TooLarge)) } else { Ok(credential) }
}

async fn prove(request: &Request<'_>, token: &str, now_ms: u64) -> Outcome<Entry> {
    let unverified = Unverified::parse(token).map_err(refused)?;
    let claims = unverified.claims();
    let issuers = &request.app.config.issuers;
    let issuer = issuers.iter().find(|issuer| issuer.issuer == claims.iss);
    let issuer = issuer.ok_or_else(|| refused(TokenError::Issuer))?;
    let seconds = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
    check(claims, issuer, seconds, LEEWAY_S).map_err(refused)?;
    let name = KeyName { kid: unverified.key_id(), algorithm: unverified.algorithm() };
    let jwk = request.app.keys.find(request, issuer, name, now_ms).await?;
    let jwk = jwk.ok_or_else(|| refused(TokenError::UnknownKey))?;
    let algorithm = unverified.algorithm().as_str();
    if !crypto::verify(algorithm, &jwk.json, unverified.signature(), unverified.signing_input()).await {
        return Err(refused(TokenError::Signature));
    }
    let user = seen(request, &unverified).await?;
    let expires_ms = u64::try_from(claims.exp).unwrap_or_default().saturating_mul(1000);
    let principal = Principal { user, name: claims.name.clone(), expires_ms, key: None };
    Ok(Entry { principal, issuer: Rc::from(issuer.issuer.as_str()), kid: unverified.key_id().to_owned() })
}

/// A person is created the first time a valid (issuer, subject) is seen.
async fn seen(request: &Request<'_>, token: &Unverified) -> Outcome<drey_core::id::UserId> {
    let context = request.context;
    let neon = &request.app.neon;
    let session = Session::new(neon, Caller::default(), context.deadline, &context.trace, &context.timings);
    let claims = token.claims();
    let (email, name) = (claims.email.as_deref(), claims.name.as_deref());
    Ok(user::seen(&session, &claims.iss, &claims.sub, email, name, random::user_id()).await?)
}

fn no_credential() -> Problem {
    let detail = "Send `Authorization: Bearer <token>` with a token of a configured issuer or an API key.";
    Problem::new(Code::Unauthenticated, detail).with_header("www-authenticate", "Bearer realm=\"drey\"")
}

/// Which of two was meant is not ours to guess: one of them may be somebody else's.
fn two_credentials() -> Problem {
    let detail = "Send one credential: `Authorization` or `x-api-key`, not both.";
    Problem::new(Code::Unauthenticated, detail).with_header("www-authenticate", "Bearer realm=\"drey\"")
}

/// RFC 6750 §3.1: the challenge names the error, so that a client knows whether a new token would help.
fn refused(error: TokenError) -> Problem {
    let challenge = format!("Bearer realm=\"drey\", error=\"invalid_token\", error_description=\"{error}\"");
    Problem::new(error.code(), error.to_string()).with_header("www-authenticate", challenge)
}
