//! What a token claims, and whether that holds now and here.
//!
//! In scope: `iss`, `aud`, `sub`, `exp`, `nbf`, `iat`, `email`, `name`. Out of scope: the signature.

use serde::{Deserialize, Deserializer};

use super::TokenError;

/// How far our clock and the issuer's may differ, in seconds.
pub const LEEWAY_S: i64 = 30;

/// The longest `sub` and `iss` we store.
const MAX_SUBJECT: usize = 255;

/// The longest address of mail we keep, in characters (RFC 5321 4.5.3.1.3, without its brackets).
const MAX_EMAIL: usize = 254;

/// The longest name we keep, in characters: as long as the names drey gives.
const MAX_NAME: usize = 100;

/// The claims we read; others are ignored. Times are whole seconds since 1970, fractions cut off.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// Who made the token.
    pub iss: String,
    /// Whom it is for; one text or several.
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// Whom it names; 1 to 255 bytes.
    pub sub: String,
    /// When it ends.
    #[serde(deserialize_with = "seconds")]
    pub exp: i64,
    /// When it begins.
    #[serde(default, deserialize_with = "optional_seconds")]
    pub nbf: Option<i64>,
    /// When it was made.
    #[serde(default, deserialize_with = "optional_seconds")]
    pub iat: Option<i64>,
    /// The person's address of mail.
    #[serde(default)]
    pub email: Option<String>,
    /// What the person is called.
    #[serde(default)]
    pub name: Option<String>,
}

/// One issuer whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The `iss` of its tokens, compared exactly.
    pub issuer: String,
    /// The `aud` its tokens must name.
    pub audience: String,
    /// Where its keys are.
    pub jwks_uri: String,
}

/// The issuers of a configuration: a JSON array of objects.
///
/// # Errors
/// That of JSON, for another shape.
pub fn parse_issuers(text: &str) -> Result<Vec<IssuerConfig>, serde_json::Error> {
    serde_json::from_str(text)
}

impl Claims {
    /// A subject that can be stored. An address or a name that cannot is left out: the token is good without it.
    pub(super) fn valid(mut self) -> Result<Self, TokenError> {
        let printable = |text: &str| !text.contains(char::is_control);
        let storable = |text: &str| (1..=MAX_SUBJECT).contains(&text.len()) && printable(text);
        let short = |text: &String, most: usize| text.chars().count() <= most && printable(text);
        self.email = self.email.filter(|email| short(email, MAX_EMAIL));
        self.name = self.name.filter(|name| short(name, MAX_NAME));
        if storable(&self.sub) && storable(&self.iss) { Ok(self) } else { Err(TokenError::Malformed) }
    }
}

/// Judges verified claims at `now_s` (seconds since 1970), with a leeway in seconds ([`LEEWAY_S`]).
///
/// # Errors
/// [`TokenError`]: issuer, audience, expired, not yet valid; in this order.
pub fn check(claims: &Claims, issuer: &IssuerConfig, now_s: i64, leeway_s: i64) -> Result<(), TokenError> {
    if claims.iss != issuer.issuer {
        return Err(TokenError::Issuer);
    }
    if !claims.aud.contains(&issuer.audience) {
        return Err(TokenError::Audience);
    }
    if claims.exp.saturating_add(leeway_s) <= now_s {
        return Err(TokenError::Expired);
    }
    let begins = claims.nbf.max(claims.iat).unwrap_or(i64::MIN);
    if begins.saturating_sub(leeway_s) > now_s { Err(TokenError::NotYetValid) } else { Ok(()) }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Audience::deserialize(deserializer)? {
        Audience::One(one) => vec![one],
        Audience::Many(many) => many,
    })
}

/// RFC 7519 allows fractions of a second. A float cast saturates, so an absurd time stays absurd.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    #[expect(clippy::cast_possible_truncation, reason = "the fraction is meant to go, and the cast saturates")]
    Ok(seconds as i64)
}

fn optional_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    seconds(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> IssuerConfig {
        let text = r#"[{"issuer":"https://issuer","audience":"drey","jwks_uri":"https://issuer/keys"}]"#;
        parse_issuers(text).expect("issuers").remove(0)
    }

    fn judge(claims: &str, now_s: i64) -> Result<(), TokenError> {
        check(&serde_json::from_str(claims).expect("claims"), &issuer(), now_s, LEEWAY_S)
    }

    #[test]
    fn times_have_a_leeway_of_30_seconds() {
        let claims = r#"{"iss":"https://issuer","aud":["x","drey"],"sub":"a","exp":1000.9,"nbf":500,"iat":400}"#;
        for (now, expected) in
            [(469, Err(TokenError::NotYetValid)), (470, Ok(())), (1029, Ok(())), (1030, Err(TokenError::Expired))]
        {
            assert_eq!(judge(claims, now), expected, "{now}");
        }
    }

    /// Postgres takes no NUL, and a name of kilobytes fits no socket's attachment; neither is a reason to lock its owner
    /// out.
    #[test]
    fn a_name_or_address_that_cannot_be_kept_is_dropped() {
        let read = |name: String, email: String| {
            let claims =
                serde_json::json!({ "iss": "i", "aud": "a", "sub": "s", "exp": 1, "name": name, "email": email });
            let claims: Claims = serde_json::from_value(claims).expect("claims");
            let claims = claims.valid().expect("the token stays good");
            (claims.name.is_some(), claims.email.is_some())
        };
        assert_eq!(read("Ada".into(), "ada@example.com".into()), (true, true));
        assert_eq!(read("ß".repeat(100), "ß".repeat(254)), (true, true));
        assert_eq!(read("ß".repeat(101), "ß".repeat(255)), (false, false));
        assert_eq!(read("A\0".into(), "a@\0".into()), (false, false));
        assert_eq!(read("A\u{85}".into(), "a@b\n".into()), (false, false));
    }

    #[test]
    fn issuer_and_audience_are_compared_exactly() {
        let of = |iss: &str, aud: &str| judge(&format!(r#"{{"iss":"{iss}","aud":"{aud}","sub":"a","exp":1000}}"#), 0);
        assert_eq!(of("https://issuer", "drey"), Ok(()));
        assert_eq!(of("https://issuer/", "drey"), Err(TokenError::Issuer));
        assert_eq!(of("https://issuer", "dreyx"), Err(TokenError::Audience));
    }
}
