/**
 * The issuer's keys: one signing key per algorithm, and the public halves of all that are still published.
 */
import { type CryptoKey, exportJWK, generateKeyPair, type JWK } from "jose";

export const ALGORITHMS = ["EdDSA", "RS256", "ES256"] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

export interface SigningKey {
  kid: string;
  alg: Algorithm;
  privateKey: CryptoKey;
  /** With `kid`, `alg` and `use`, as the JWKS carries it. */
  published: JWK;
}

export class KeyRing {
  /** Newest first. */
  #keys: SigningKey[] = [];

  static async create(): Promise<KeyRing> {
    const ring = new KeyRing();
    await ring.rotate(true);
    return ring;
  }

  /** Signs with new keys from now on. The old ones stay published, unless they are retired at once. */
  async rotate(retire: boolean): Promise<string[]> {
    const fresh = await Promise.all(ALGORITHMS.map(generate));
    this.#keys = retire ? fresh : [...fresh, ...this.#keys];
    return fresh.map((key) => key.kid);
  }

  signing(alg: Algorithm): SigningKey {
    const key = this.#keys.find((candidate) => candidate.alg === alg);
    if (!key) throw new Error(`no key for ${alg}`);
    return key;
  }

  published(): JWK[] {
    return this.#keys.map((key) => key.published);
  }
}

async function generate(alg: Algorithm): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg);
  const kid = `${alg.toLowerCase()}-${crypto.randomUUID().slice(0, 8)}`;
  return { kid, alg, privateKey, published: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
}
