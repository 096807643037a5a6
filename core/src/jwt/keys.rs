//! The key set of an issuer (RFC 7517), as far as we can use it.
//!
//! In scope: public signature keys of the three algorithms, found by `kid`. Out of scope: importing and fetching them.

use serde_json::{Map, Value};

use super::Algorithm;

/// The shortest modulus of an RSA key, in base64url characters: 2048 bits are 256 bytes are 342 characters.
const MIN_MODULUS: usize = 342;

/// The members that a public key is made of; everything else, private parts above all, is dropped.
const PUBLIC_MEMBERS: [&str; 6] = ["kty", "crv", "x", "y", "n", "e"];

/// A public key that can verify one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    /// Its name.
    pub kid: String,
    /// What it verifies.
    pub algorithm: Algorithm,
    /// The members to import, as JSON.
    pub json: String,
}

/// The usable keys of an issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jwks {
    keys: Vec<Jwk>,
}

impl Jwks {
    /// Reads a key set. Keys that are of no use here are skipped: an issuer may have others for others.
    ///
    /// # Errors
    /// That of JSON, if it is not an object with an array `keys`.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(serde::Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_str(text)?;
        Ok(Self { keys: set.keys.iter().filter_map(Value::as_object).filter_map(usable).collect() })
    }

    /// The key of this name for this algorithm: a token cannot have an RSA key read as something else.
    #[must_use]
    pub fn find(&self, kid: &str, algorithm: Algorithm) -> Option<&Jwk> {
        self.keys.iter().find(|key| key.kid == kid && key.algorithm == algorithm)
    }

    /// Whether any usable key has this name.
    #[must_use]
    pub fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid == kid)
    }
}

fn usable(key: &Map<String, Value>) -> Option<Jwk> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let algorithm = match (text("kty")?, text("crv")) {
        ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
        ("EC", Some("P-256")) => Algorithm::Es256,
        ("RSA", _) if text("n")?.len() >= MIN_MODULUS => Algorithm::Rs256,
        _ => return None,
    };
    let other_use = text("use").is_some_and(|purpose| purpose != "sig");
    // RFC 9864 names EdDSA on this curve `Ed25519`.
    let other_algorithm = text("alg").is_some_and(|alg| alg != algorithm.as_str() && alg != "Ed25519");
    if other_use || other_algorithm {
        return None;
    }
    let public: Map<String, Value> =
        PUBLIC_MEMBERS.iter().filter_map(|name| Some(((*name).to_owned(), key.get(*name)?.clone()))).collect();
    Some(Jwk { kid: text("kid")?.to_owned(), algorithm, json: Value::Object(public).to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_keys_are_found_and_others_skipped() {
        let set = Jwks::parse(
            r#"{"keys":[
                {"kty":"OKP","crv":"Ed25519","kid":"a","x":"AA","d":"secret","alg":"EdDSA","use":"sig"},
                {"kty":"oct","kid":"b","k":"AA"},
                {"kty":"RSA","kid":"c","n":"short","e":"AQAB"},
                {"kty":"EC","crv":"P-256","kid":"d","x":"AA","y":"AA","use":"enc"},
                {"kty":"EC","crv":"P-256","kid":"e","x":"AA","y":"BB"},
                {"kty":"OKP","crv":"Ed25519","x":"AA"}, 7]}"#,
        )
        .expect("set");
        let key = set.find("a", Algorithm::EdDsa).expect("key");
        assert_eq!(key.json, r#"{"crv":"Ed25519","kty":"OKP","x":"AA"}"#);
        assert_eq!(["a", "b", "c", "d", "e"].map(|kid| set.has(kid)), [true, false, false, false, true]);
        assert_eq!(set.find("a", Algorithm::Rs256), None);
        assert!(Jwks::parse("[]").is_err());
    }
}
