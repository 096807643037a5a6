/** Who is let in: tokens of the configured issuers, and nothing else. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { AUDIENCE, startIssuer } from "../../dev/issuer.ts";
import { type Answer, call, expectProblem, expectStatus, strangerTo, type User, unique } from "./actors.ts";
import type { Me } from "./shapes.ts";
import { flipped, relabelled, tampered, unsigned } from "./tokens.ts";
import { type OwnCell, poll, world } from "./world.ts";

type Claims = Omit<Parameters<ReturnType<typeof world>["token"]>[0], "sub">;

/** Callers without a known credential share one address and its limit: these many get a cell of their own. */
let cell: OwnCell;

beforeAll(async () => {
  cell = await world().restart({
    LIMITS: JSON.stringify({ anonymous: { base: 10_000 } }),
    JWKS_RETRY_MS: "500",
  });
});
afterAll(() => cell.stop());

test.each(["EdDSA", "ES256", "RS256"] as const)("a token signed with %s is accepted", async (alg) => {
  const answer = await withToken(await token({ alg }));
  expectStatus(answer, 200);
});

test("no credential is 401 and says how to send one", async () => {
  const answer = await call(null, "GET", `${cell.api}/v1/me`);
  expectProblem(answer, 401, "unauthenticated");
  expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer\b/);
});

const REFUSED: Record<string, { code: string; make: () => Promise<string> }> = {
  "alg none": { code: "invalid-token", make: async () => unsigned(await token()) },
  "another audience": { code: "invalid-token", make: () => token({ aud: "somebody-else" }) },
  "another issuer": { code: "invalid-token", make: () => token({ iss: "https://elsewhere.example" }) },
  "an expired one": { code: "token-expired", make: () => token({ expires_in: -120 }) },
  "one not yet valid": { code: "token-not-yet-valid", make: () => token({ nbf: seconds() + 600 }) },
  "an unknown key id": { code: "invalid-token", make: () => token({ kid: unique("kid") }) },
  "an oversized one": { code: "invalid-token", make: () => token({ filler: "x".repeat(9_000) }) },
  "changed claims": { code: "invalid-token", make: async () => tampered(await token()) },
  "a changed signature": { code: "invalid-token", make: async () => flipped(await token()) },
  "EdDSA relabelled RS256": { code: "invalid-token", make: async () => relabelled(await token(), "RS256") },
  "EdDSA relabelled HS256": { code: "invalid-token", make: async () => relabelled(await token(), "HS256") },
  "RS256 relabelled ES256": {
    code: "invalid-token",
    make: async () => relabelled(await token({ alg: "RS256" }), "ES256"),
  },
  "no signature": { code: "invalid-token", make: async () => (await token()).replace(/[^.]+$/, "") },
  "four parts": { code: "invalid-token", make: async () => `${await token()}.e30` },
  "no dots": { code: "invalid-token", make: async () => "garbage" },
  "no JSON in it": { code: "invalid-token", make: async () => "AAAA.BBBB.CCCC" },
};

test.each(Object.entries(REFUSED))("%s is refused", async (_, { code, make }) => {
  const answer = await withToken(await make());
  expectProblem(answer, 401, code);
  expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer\b.*error="invalid_token"/);
});

test.each(["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "Bearer a b", "Digest x"])(
  "the header %j is refused",
  async (authorization) => {
    const answer = await call(null, "GET", `${cell.api}/v1/me`, undefined, { authorization });
    expect(answer.status, answer.text).toBe(401);
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer\b/);
  },
);

test("the scheme's case does not matter", async () => {
  const authorization = `bearer ${await token()}`;
  expectStatus(await call(null, "GET", `${cell.api}/v1/me`, undefined, { authorization }), 200);
});

test("a token in the query string is not a credential", async () => {
  const good = await token();
  for (const name of ["access_token", "token", "authorization"]) {
    expectProblem(await call(null, "GET", `${cell.api}/v1/me?${name}=${good}`), 401, "unauthenticated");
  }
});

test("a refused token is never repeated in the answer or the log", async () => {
  const good = await token();
  const answer = await withToken(flipped(good));
  expect(answer.text).not.toContain(good.slice(0, 40));
  const logged = await poll("the request's log line", async () => {
    const lines = await cell.logs();
    return lines.some((line) => line.includes(String(answer.headers.get("x-request-id")))) && lines;
  });
  expect(logged.filter((line) => line.includes(good.slice(-60)))).toEqual([]);
});

test("a rotated key is accepted as soon as the key set may be asked again, the older one until it is retired", async () => {
  await using own = await ownIssuer();
  const old = await own.token();
  expectStatus(await own.me(old), 200);
  await own.rotate(false);
  const fresh = await own.token();
  await poll("the rotated key", async () => (await own.me(fresh)).status === 200);
  expectStatus(await own.me(old), 200);
  await own.rotate(true);
  const newest = await own.token();
  await poll("the newest key", async () => (await own.me(newest)).status === 200);
  // The token was verified before; it dies with its key all the same.
  expectProblem(await own.me(old), 401, "invalid-token");
});

test("made-up key ids do not make the issuer's key set be asked for more often than configured", async () => {
  await using own = await ownIssuer({ JWKS_RETRY_MS: "60000" });
  expectStatus(await own.me(await own.token()), 200);
  const before = await own.jwksRequests();
  for (let n = 0; n < 20; n += 1) {
    expectProblem(await own.me(await own.token({ kid: unique("kid") })), 401, "invalid-token");
  }
  expect((await own.jwksRequests()) - before).toBeLessThanOrEqual(1);
});

test("a token that expires stops working although it was accepted before", async () => {
  // The leeway for unequal clocks is 30 s; a token issued already 28 s past its end has 2 s to live.
  const dying = await token({ iat: seconds() - 60, expires_in: -28 });
  expectStatus(await withToken(dying), 200);
  const refused = await poll("the token's end", async () => {
    const answer = await withToken(dying);
    return answer.status !== 200 && answer;
  });
  expectProblem(refused, 401, "token-expired");
});

/** An issuer whose keys only this test turns, and Workers that trust it alone. */
async function ownIssuer(vars: Record<string, string> = {}) {
  const issuer = await startIssuer();
  const trusted = { issuer: issuer.url, audience: AUDIENCE, jwks_uri: issuer.jwksUri };
  const own = await world().restart({ JWKS_RETRY_MS: "200", ISSUERS: JSON.stringify([trusted]), ...vars });
  const post = async (path: string, body: unknown) => {
    const answer = await fetch(`${issuer.url}${path}`, { method: "POST", body: JSON.stringify(body) });
    return (await answer.json()) as Record<string, string>;
  };
  return {
    token: async (claims: Claims = {}) =>
      String((await post("/token", { sub: unique("sub"), ...claims })).access_token),
    rotate: (retire: boolean) => post("/rotate", { retire }),
    me: (bearer: string) =>
      call(null, "GET", `${own.api}/v1/me`, undefined, { authorization: `Bearer ${bearer}` }),
    jwksRequests: async () => {
      const answer = await fetch(`${issuer.url}/admin/counters`);
      return ((await answer.json()) as { jwks: number }).jwks;
    },
    [Symbol.asyncDispose]: async () => {
      await own.stop();
      await issuer.close();
    },
  };
}

async function token(claims: Claims = {}): Promise<string> {
  return world().token({ sub: unique("sub"), ...claims });
}

async function withToken(bearer: string): Promise<Answer<Me>> {
  const caller: User = { ...(await strangerTo(cell.api)), token: bearer };
  return call<Me>(caller, "GET", "/v1/me");
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
