/**
 * Tokens that no honest issuer would sign, for the refusals of credentials.
 *
 * In scope: taking a good token apart and putting it together wrongly. Out of scope: good tokens (world.ts).
 */

/** `alg: none` with the claims of a good token and an empty signature. */
export function unsigned(token: string): string {
  const header = encode({ alg: "none", typ: "JWT" });
  return `${header}.${token.split(".")[1]}.`;
}

/** The good token with another subject under the old signature. */
export function tampered(token: string): string {
  const [header, claims, signature] = token.split(".");
  const changed = { ...decode(String(claims)), sub: "somebody-else" };
  return `${header}.${encode(changed)}.${signature}`;
}

/** The good token with one bit of its signature turned. */
export function flipped(token: string): string {
  const [header, claims, signature] = token.split(".");
  const bytes = Buffer.from(String(signature), "base64url");
  bytes.writeUInt8(bytes.readUInt8(3) ^ 1, 3);
  return `${header}.${claims}.${bytes.toString("base64url")}`;
}

/** The good token whose header names another algorithm than its key has. */
export function relabelled(token: string, alg: string): string {
  const [header, claims, signature] = token.split(".");
  return `${encode({ ...decode(String(header)), alg })}.${claims}.${signature}`;
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function decode(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
}
