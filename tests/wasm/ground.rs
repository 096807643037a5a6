//! Time, randomness, signatures.

use drey::edge::{clock, crypto, random};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn the_clock_is_the_runtimes() {
    let runtime = || js_sys::Date::now().to_string().parse::<u64>().expect("whole milliseconds");
    let (before, now) = (runtime(), clock::now_ms());
    assert!(before <= now && now <= runtime());
}

#[wasm_bindgen_test]
fn random_bytes_are_not_the_same_twice() {
    let (a, b): ([u8; 16], [u8; 16]) = (random::bytes(), random::bytes());
    assert_ne!(a, b);
    assert_ne!(a, [0; 16]);
}

#[wasm_bindgen_test]
fn minted_ids_are_in_the_order_of_time_and_differ() {
    let (first, second) = (random::org_id(), random::org_id());
    assert_ne!(first, second);
    assert_eq!(drey_core::id::OrgId::parse(&first.to_string()), Ok(first));
}

/// RFC 8037, appendix A.4: the signature of its example over its signing input.
#[wasm_bindgen_test]
async fn a_signature_holds_for_its_key_and_input_alone() {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = base64::Engine::decode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    )
    .expect("base64url");
    assert!(crypto::verify("EdDSA", jwk, &signature, input).await);
    assert!(!crypto::verify("EdDSA", jwk, &signature, b"another input").await);
    assert!(!crypto::verify("RS256", jwk, &signature, input).await);
    assert!(!crypto::verify("none", jwk, &signature, input).await);
    assert!(!crypto::verify("EdDSA", "not a key", &signature, input).await);
}
