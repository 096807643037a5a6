//! JSON Web Signature checks by the runtime's `WebCrypto`: `EdDSA`, ES256 and RS256.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(module = "/src/edge/crypto.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = verify)]
    async fn verify_js(algorithm: &str, jwk: &str, signature: &[u8], data: &[u8]) -> Result<JsValue, JsValue>;
}

/// Whether the signature holds. A key that does not fit the algorithm is a signature that does not hold.
pub async fn verify(algorithm: &str, jwk: &str, signature: &[u8], data: &[u8]) -> bool {
    matches!(verify_js(algorithm, jwk, signature, data).await, Ok(value) if value.is_truthy())
}
