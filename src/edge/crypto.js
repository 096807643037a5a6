// Signature checks by WebCrypto. An imported key is kept: importing costs more than verifying.

const ALGORITHMS = {
  EdDSA: { import: { name: "Ed25519" }, verify: { name: "Ed25519" } },
  ES256: { import: { name: "ECDSA", namedCurve: "P-256" }, verify: { name: "ECDSA", hash: "SHA-256" } },
  RS256: { import: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, verify: { name: "RSASSA-PKCS1-v1_5" } },
};
// Issuers publish a handful of keys; 64 bounds what a misbehaving key set could make an isolate hold.
const MOST_KEYS = 64;
const imported = new Map();

async function importKey(algorithm, jwk) {
  const known = imported.get(jwk);
  if (known !== undefined) return known;
  const { kty, crv, x, y, n, e } = JSON.parse(jwk);
  const key = await crypto.subtle.importKey("jwk", { kty, crv, x, y, n, e }, algorithm.import, false, ["verify"]);
  if (imported.size >= MOST_KEYS) imported.clear();
  imported.set(jwk, key);
  return key;
}

/** Whether `signature` over `data` is by the key; throws on a key that does not fit the algorithm. */
export async function verify(name, jwk, signature, data) {
  const algorithm = ALGORITHMS[name];
  if (algorithm === undefined) return false;
  const held = [signature.slice(), data.slice()];
  const key = await importKey(algorithm, jwk);
  return crypto.subtle.verify(algorithm.verify, key, held[0], held[1]);
}
