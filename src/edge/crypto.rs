//! JSON Web Signature checks by the runtime's `WebCrypto`: `EdDSA`, ES256 and RS256.

use drey_promises::settled;
use js_sys::Promise;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(module = "/src/edge/crypto.js")]
extern "C" {
    #[wasm_bindgen(js_name = verify)]
    fn verify_js(algorithm: &str, jwk: &str, signature: &[u8], data: &[u8]) -> Promise;
}

/// Whether the signature holds. A key that does not fit the algorithm is a signature that does not hold.
pub async fn verify(algorithm: &str, jwk: &str, signature: &[u8], data: &[u8]) -> bool {
    matches!(settled(&verify_js(algorithm, jwk, signature, data)).await, Ok(value) if value.is_truthy())
}
