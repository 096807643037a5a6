/** Limits: what a refused caller is told, and that evictions add no tokens. limiter_contract.test.ts has the bounds. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type Answer,
  atOnce,
  call,
  expectProblem,
  expectStatus,
  home,
  inTurn,
  member,
  type OwnedWorkspace,
  organisation,
  type User,
  unique,
  user,
  workspace,
} from "./actors.ts";
import { expectRateLimited, limitHeaders } from "./refusals.ts";
import { type OwnCell, poll, world } from "./world.ts";

const BURST = 12;
/** Slow enough that what refills during a test is told apart from what leaks. */
const SLOW = { base: BURST, window_ms: 60_000, burst: BURST, block_ms: 0 };
/** Everybody here calls from one address and is new to the isolate: that limit is another test's. */
const anonymous = { base: 100_000 };
let slow: OwnCell;
let quick: OwnCell;

beforeAll(async () => {
  const limits = { anonymous, standard: SLOW, relaxed: { base: 30, window_ms: 60_000, burst: 30 } };
  slow = await world().restart({ LIMITS: JSON.stringify(limits) });
  quick = await world().restart({
    LIMITS: JSON.stringify({
      anonymous,
      standard: { base: 4, window_ms: 1_000, burst: 4, block_ms: 0 },
      strict: { base: 3, window_ms: 300, burst: 3, block_ms: 2_000 },
    }),
  });
});
afterAll(async () => {
  await slow.stop();
  await quick.stop();
});

test("a burst passes, then 429 says which limit, how much and how long, in every family of headers", async () => {
  const place = await home(slow.api);
  const since = Date.now();
  const answers = await inTurn(BURST + 3, () => write(place.owner, place));
  expect(statuses(answers.slice(0, BURST))).toEqual([200]);
  expect(statuses(answers.slice(BURST + refilled(since)))).toEqual([429]);
  const refused = answers.at(-1) ?? expect.unreachable();
  expectRateLimited(refused, "standard", BURST, 60);
});

test("an admitted call tells what is left, and the next one less", async () => {
  const place = await home(slow.api);
  const [first, second] = [await write(place.owner, place), await write(place.owner, place)];
  expect(limitHeaders(first)).toMatchObject({
    "ratelimit-policy": `"standard";q=${BURST};w=60, "daily";q=100000;w=86400`,
    ratelimit: expect.stringMatching(/^"standard";r=11;t=\d+, "daily";r=\d+;t=\d+$/),
    "x-ratelimit-remaining": "11",
    "x-rate-limit-remaining": "11",
  });
  expect(second.headers.get("x-ratelimit-remaining")).toBe("10");
  expect(first.headers.get("retry-after")).toBeNull();
});

test("a gate that is evicted in the middle refills nothing", async () => {
  const place = await home(slow.api);
  const since = Date.now();
  const before = await inTurn(BURST - 4, () => write(place.owner, place));
  await slow.evict("WorkspaceGate", place.id);
  const after = await inTurn(BURST, () => write(place.owner, place));
  const admitted = [...before, ...after].filter((answer) => answer.status === 200).length;
  expect(statuses(before)).toEqual([200]);
  expect(statuses(after)).toContain(429);
  expect(admitted).toBeLessThanOrEqual(BURST + refilled(since));
});

test("one who has used up his limit does not touch a colleague, another workspace or another tenant", async () => {
  const org = await organisation(await user(slow.api));
  const [place, sibling, foreign] = [await workspace(org), await workspace(org), await home(slow.api)];
  const colleague = await member(place, "editor");
  await inTurn(BURST, () => write(org.owner, place));
  expectProblem(await write(org.owner, place), 429, "rate-limited");
  expectStatus(await write(org.owner, sibling), 200);
  expectStatus(await write(colleague, place), 200);
  expectStatus(await write(foreign.owner, foreign), 200);
  expectStatus(await call(org.owner, "GET", `/v1/workspaces/${place.id}`), 200);
});

test("forged addresses open no other bucket", async () => {
  const place = await home(slow.api);
  const since = Date.now();
  const answers = await inTurn(BURST + 4, (index) =>
    write(place.owner, place, { "x-forwarded-for": `203.0.113.${index}`, "x-real-ip": `203.0.113.${index}` }),
  );
  const admitted = answers.filter((answer) => answer.status === 200).length;
  expect(admitted).toBeLessThanOrEqual(BURST + refilled(since));
});

test("reads have a bucket of their own and are limited too, hit or miss", async () => {
  const place = await home(slow.api);
  const answers = await inTurn(36, () => call(place.owner, "GET", `/v1/workspaces/${place.id}`));
  expect(statuses(answers)).toEqual([200, 429]);
  expect(answers.at(-1)?.headers.get("ratelimit-policy")).toBe('"relaxed";q=30;w=60');
  expectStatus(await write(place.owner, place), 200);
});

test("who calls on after his refusal is logged once a second", async () => {
  const [place, other] = [await home(slow.api), await home(slow.api)];
  await inTurn(BURST, () => write(place.owner, place));
  const since = Date.now();
  const answers = await inTurn(100, () => write(place.owner, place));
  const refused = answers.filter(({ status }) => status === 429);
  const asked = 1 + Math.floor((Date.now() - since) / 1_000);
  const last = expectStatus(await write(other.owner, other), 200).headers.get("x-request-id") ?? "";
  const lines = await poll("the line of a later request", async () => {
    const all = await slow.logs();
    return all.some((line) => line.includes(last)) && all;
  });
  const ids = refused.map(({ headers }) => headers.get("x-request-id") ?? "");
  const written = ids.filter((id) => lines.some((line) => line.includes(id)));
  expect(written.length).toBeGreaterThan(0);
  expect(written.length).toBeLessThanOrEqual(asked);
  expect(refused.length).toBeGreaterThan(90);
});

test("a strict limit blocks for its block, however fast its bucket fills, and not longer", async () => {
  const org = await organisation(await user(quick.api));
  const attempt = () => invitation(org);
  const since = Date.now();
  const refused = await untilRefused(attempt);
  expect(refused.headers.get("ratelimit-policy")).toMatch(/^"strict";/);
  expect(Number(refused.headers.get("retry-after"))).toBe(2);
  let calls = 0;
  const untilEnd = async () => {
    const answer = await attempt();
    calls += 1;
    if (answer.status === 201) return true;
    expectProblem(answer, 429, "rate-limited");
    return false;
  };
  await poll("the block's end", untilEnd, 2_000 + 1_000);
  // Attempts during the block do not lengthen it, and none of them passed before it was over.
  expect(Date.now()).toBeGreaterThanOrEqual(since + 2_000);
  expect(calls).toBeGreaterThan(1);
});

test("a block outlives the eviction of its gate", async () => {
  const strict = { base: 3, window_ms: 300, burst: 3, block_ms: 60_000 };
  await using cell = await world().restart({ LIMITS: JSON.stringify({ strict }) });
  const org = await organisation(await user(cell.api));
  await untilRefused(() => invitation(org));
  await cell.evict("WorkspaceGate", `org:${org.id}`);
  expectProblem(await invitation(org), 429, "rate-limited");
});

test("unknown credentials are limited by their address, whatever address they claim", async () => {
  const few = { anonymous: { base: 5, window_ms: 60_000, burst: 5 } };
  await using cell = await world().restart({ LIMITS: JSON.stringify(few) });
  const known = await user(cell.api);
  const answers = await inTurn(12, (index) =>
    call(null, "GET", `${cell.api}/v1/me`, undefined, {
      authorization: `Bearer made-up-${index}`,
      "x-forwarded-for": `203.0.113.${index}`,
    }),
  );
  expect(statuses(answers)).toEqual([401, 429]);
  expect(answers.filter((answer) => answer.status === 401).length).toBeLessThanOrEqual(5);
  expectStatus(await call(known, "GET", "/v1/me"), 200);
});

test("a refused call has no effect", async () => {
  const place = await home(slow.api);
  await inTurn(BURST, () => write(place.owner, place));
  const name = unique("Refused");
  expectProblem(
    await call(place.owner, "PATCH", `/v1/workspaces/${place.id}`, { name }),
    429,
    "rate-limited",
  );
  const read = await call<{ name: string }>(place.owner, "GET", `/v1/workspaces/${place.id}`);
  expect(read.body.name).not.toBe(name);
});

function write(
  caller: User,
  place: OwnedWorkspace,
  headers: Record<string, string> = {},
): Promise<Answer<unknown>> {
  const body = { client_id: caller.id, mutations: [] };
  return call(caller, "POST", `/v1/workspaces/${place.id}/sync/push`, body, headers);
}

function invitation(org: { id: string; owner: User }): Promise<Answer<unknown>> {
  const body = { email: `${unique("guest")}@example.test`, role: "member" };
  return call(org.owner, "POST", `/v1/orgs/${org.id}/invitations`, body);
}

function untilRefused(act: () => Promise<Answer<unknown>>): Promise<Answer<unknown>> {
  return poll("a refusal", async () => {
    const answers = await atOnce(6, act);
    return answers.find((answer) => answer.status === 429);
  });
}

/** How many tokens the slow bucket has regained since; rounded up, because a part may have been there before. */
function refilled(since: number): number {
  return Math.ceil(((Date.now() - since) * SLOW.base) / SLOW.window_ms);
}

function statuses(answers: Answer<unknown>[]): number[] {
  return [...new Set(answers.map((answer) => answer.status))].sort();
}
