/**
 * The token issuer, seen as a verifier sees it.
 */
import { createRemoteJWKSet, jwtVerify } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AUDIENCE, type Issuer, startIssuer } from "../../dev/issuer.ts";

let issuer: Issuer;
beforeAll(async () => {
  issuer = await startIssuer();
});
afterAll(() => issuer.close());

async function token(claims: object): Promise<string> {
  const answer = await fetch(`${issuer.url}/token`, { method: "POST", body: JSON.stringify(claims) });
  return ((await answer.json()) as { access_token: string }).access_token;
}

const verify = (jwt: string) =>
  jwtVerify(jwt, createRemoteJWKSet(new URL(issuer.jwksUri)), { issuer: issuer.url, audience: AUDIENCE });

test.each(["EdDSA", "RS256", "ES256"])("a token signed with %s verifies", async (alg) => {
  const { payload, protectedHeader } = await verify(
    await token({ sub: "ada", email: "ada@example.com", alg }),
  );
  expect(protectedHeader).toMatchObject({ alg, typ: "JWT" });
  expect(payload).toMatchObject({ sub: "ada", email: "ada@example.com" });
});

test.each([
  ["expired", { expires_in: -60 }],
  ["not yet valid", { nbf: Math.floor(Date.now() / 1000) + 600 }],
  ["of another audience", { aud: "other" }],
  ["of another issuer", { iss: "https://other.example" }],
  ["of an unknown key", { kid: "unknown" }],
])("a token that is %s does not", async (_what, claims) => {
  await expect(verify(await token({ sub: "ada", ...claims }))).rejects.toThrow();
});

test("after a rotation old tokens verify until their keys are retired", async () => {
  const rotate = (body: object) =>
    fetch(`${issuer.url}/rotate`, { method: "POST", body: JSON.stringify(body) });
  const old = await token({ sub: "ada" });
  await rotate({});
  const fresh = await token({ sub: "ada" });
  await verify(old);
  await verify(fresh);
  await rotate({ retire: true });
  await expect(verify(old)).rejects.toThrow();
  await verify(await token({ sub: "ada" }));
});

test("fetches of the key set are counted", async () => {
  const count = async () =>
    ((await (await fetch(`${issuer.url}/admin/counters`)).json()) as { jwks: number }).jwks;
  const before = await count();
  await fetch(issuer.jwksUri);
  expect(await count()).toBe(before + 1);
});

test("a shell gets the bare token as plain text", async () => {
  const answer = await fetch(`${issuer.url}/token`, {
    method: "POST",
    headers: { accept: "text/plain" },
    body: `{"sub":"ada"}`,
  });
  await verify(await answer.text());
});

test("an algorithm it does not have is refused", async () => {
  const answer = await fetch(`${issuer.url}/token`, { method: "POST", body: `{"alg":"none"}` });
  expect(answer.status).toBe(400);
});
