/** Flood zones: what one address may call before its credential is known, and whom that does not touch. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, call, expectProblem, expectStatus, inTurn, strangerTo, trace, user } from "./actors.ts";
import { neonCounters } from "./neighbours.ts";
import type { Me } from "./shapes.ts";
import { flipped } from "./tokens.ts";
import { type OwnCell, world } from "./world.ts";

/** The bursts of the defaults with a rate that adds nothing during a test. */
const BURST = 20;
const SIGN_IN_BURST = 5;
let cell: OwnCell;

beforeAll(async () => {
  const limits = {
    anonymous: { base: 10, window_ms: 600_000, burst: BURST },
    "sign-in": { base: 1, window_ms: 60_000, burst: SIGN_IN_BURST },
  };
  cell = await world().restart({ LIMITS: JSON.stringify(limits) });
});
afterAll(() => cell.stop());

test.each<[string, () => Record<string, string>]>([
  ["no credential", () => ({})],
  ["made-up tokens", () => ({ authorization: `Bearer ${randomBytes(20).toString("hex")}` })],
  ["made-up API keys", () => ({ "x-api-key": `drey_live_${randomBytes(20).toString("hex")}` })],
  ["another scheme", () => ({ authorization: "Basic YTpi" })],
])("the sixth attempt to sign in with %s is refused by a policy of its own", async (_what, credential) => {
  const address = anAddress();
  const attempts = await inTurn(SIGN_IN_BURST + 2, () => signIn({ ...credential(), ...address }));
  expect(attempts.slice(0, SIGN_IN_BURST).map((answer) => answer.status)).toEqual(Array(5).fill(401));
  for (const refused of attempts.slice(SIGN_IN_BURST)) {
    expectProblem(refused, 429, "rate-limited");
    expect(refused.body).toMatchObject({ "violated-policies": ["sign-in"] });
    expect(refused.headers.get("ratelimit-policy")).toBe('"sign-in";q=1;w=60');
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(50);
  }
  // The wider zone of the same address is another.
  expectProblem(await me({ ...credential(), ...address }), 401, String(attempts[0]?.body.code));
});

test("a known caller, another address and another network are not touched, and one network is one address", async () => {
  const known = await user(cell.api);
  const [network, other] = ["2001:db8:7:1", "2001:db8:7:2"];
  const from = (address: string) => ({ "cf-connecting-ip": address });
  await inTurn(SIGN_IN_BURST + 1, (n) => signIn(from(`${network}::${n + 1}`)));
  expectProblem(await signIn(from(`${network}:ffff:1:2:3`)), 429, "rate-limited");
  expectProblem(await signIn(from(`${other}::1`)), 401, "unauthenticated");
  expectProblem(await signIn(anAddress()), 401, "unauthenticated");
  const body = { token: "no invitation" };
  const accepted = await call(known, "POST", "/v1/invitations/accept", body, from(`${network}::1`));
  expect(accepted.status, accepted.text).not.toBe(429);
  expect(accepted.headers.get("x-actor-id")).toBe(known.id);
});

test("a flood of bad tokens costs no query, and beyond the burst no look at a token", async () => {
  const [address, mine] = [anAddress(), trace()];
  const headers = { ...address, traceparent: mine.traceparent };
  const bad = flipped((await strangerTo(cell.api)).token);
  const answers = await inTurn(BURST + 10, () => me({ ...headers, authorization: `Bearer ${bad}` }));
  expect(answers.map((answer) => answer.status)).toEqual([...Array(BURST).fill(401), ...Array(10).fill(429)]);
  // From the first refusal on the isolate refuses by itself.
  const hops = answers.map(
    (answer) => /gate;desc="(\d+)"/.exec(answer.headers.get("server-timing") ?? "")?.[1],
  );
  expect(hops).toEqual([...Array(BURST + 1).fill("1"), ...Array(9).fill("0")]);
  // A token that would be good is not looked at either: nobody is created.
  const good = { ...headers, authorization: `Bearer ${(await strangerTo(cell.api)).token}` };
  expectProblem(await me(good), 429, "rate-limited");
  expect((await neonCounters(mine.id)).requests).toBe(0);
  expectStatus(await me({ ...good, ...anAddress() }), 200);
  // Now it is known here, and the address no longer matters.
  expectStatus(await me(good), 200);
});

function signIn(headers: Record<string, string>): Promise<Answer<{ code?: string }>> {
  return call<{ code?: string }>(null, "POST", `${cell.api}/v1/invitations/accept`, undefined, headers);
}

function me(headers: Record<string, string>): Promise<Answer<Me>> {
  return call<Me>(null, "GET", `${cell.api}/v1/me`, undefined, headers);
}

/** An IPv4 address that no other test calls from. */
function anAddress(): Record<string, string> {
  return { "cf-connecting-ip": `10.${[...randomBytes(3)].join(".")}` };
}
