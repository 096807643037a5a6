/** One contract, two providers: what a limit admits is the same whether gates count or Redis does. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort, LOOPBACK } from "../../dev/ports.ts";
import {
  type Answer,
  atOnce,
  call,
  expectProblem,
  expectStatus,
  home,
  inTurn,
  member,
  type OwnedOrg,
  type OwnedWorkspace,
  organisation,
  orgMember,
  type User,
  unique,
  user,
  workspace,
} from "./actors.ts";
import { redis, redisFault } from "./neighbours.ts";
import { type OwnCell, poll, world } from "./world.ts";

const STRICT = 3;
/** So long that a busy machine gives nothing back meanwhile: a workspace has twenty times as much. */
const STRICT_MS = 600_000;
const STANDARD = 12;
const LEASE_MS = 5_000;
const LIMITS = JSON.stringify({
  // Everybody here calls from one address and is new to the isolates: those zones are another test's.
  anonymous: { base: 100_000 },
  "sign-in": { base: 100_000 },
  strict: { base: STRICT, window_ms: STRICT_MS, burst: STRICT, block_ms: 120_000 },
  standard: { base: STANDARD, window_ms: 60_000, burst: STANDARD, block_ms: 0 },
  relaxed: { base: 4, window_ms: 1_000, burst: 4, block_ms: 2_000 },
});
/** Patient, so that a busy machine is not taken for a slow Redis. */
const REDIS = { RATE_LIMIT_PROVIDER: "redis", REDIS_CHARGE_MS: "5000" };

describe.each([
  ["durable_object", { RATE_LIMIT_PROVIDER: "durable_object" }],
  ["redis", REDIS],
])("%s", (_provider, vars) => {
  let cell: OwnCell;
  beforeAll(async () => {
    cell = await world().restart(
      { LIMITS, SELF_HOSTED: "true", LOG_FORMAT: "json", ...vars },
      { isolates: 3 },
    );
  });
  afterAll(() => cell.stop());

  /** The same person at one of the three isolates. */
  const at = (person: User, index: number): User => ({ ...person, api: cell.apis[index % 3] ?? "" });

  test("thirty strict calls at three isolates: exactly the burst passes", async () => {
    const org = await organisation(await user(cell.api));
    const answers = await atOnce(30, (index) => invitation(org, at(org.owner, index)));
    expect(statuses(answers)).toEqual([201, 429]);
    expect(passedOf(answers)).toBe(STRICT);
  });

  test("leased calls at three isolates pass within the published bound, above and below", async () => {
    const place = await home(cell.api);
    const since = Date.now();
    const answers = await atOnce(90, (index) => write(at(place.owner, index), place));
    const most = STANDARD + Math.ceil(((Date.now() - since + LEASE_MS) * STANDARD) / 60_000);
    expect(statuses(answers)).toEqual([200, 429]);
    expect(passedOf(answers)).toBeLessThanOrEqual(most);
    expect(passedOf(answers)).toBeGreaterThanOrEqual(STANDARD - 3 * Math.floor(STANDARD / 8));
  });

  test("larger leases admit no more than the bound either", async () => {
    const org = await organisation(await user(cell.api));
    expectStatus(await call(org.owner, "PUT", `/v1/orgs/${org.id}/plan`, { plan: "team" }), 200);
    const place = await workspace(org);
    const since = Date.now();
    const answers = await atOnce(240, (index) => write(at(place.owner, index), place));
    const most = 5 * (STANDARD + Math.ceil(((Date.now() - since + LEASE_MS) * STANDARD) / 60_000));
    expect(statuses(answers)).toEqual([200, 429]);
    expect(passedOf(answers)).toBeLessThanOrEqual(most);
  });

  test("a call that its bucket and the day refuse is told of both, and of the later end", async () => {
    const org = await organisation(await user(cell.api));
    const operator = { ...org.owner, token: world().operatorToken };
    const daily = { limits: { daily: { base: STANDARD + 8 } } };
    expectStatus(await call(operator, "PUT", `/v1/operator/orgs/${org.id}/settings`, daily), 200);
    const place = await workspace(org);
    const colleague = await member(place, "editor");
    const used = await inTurn(STANDARD + 2, () => write(org.owner, place));
    expectViolated(used.at(-1), "rate-limited", ["standard"]);
    const over = await inTurn(STANDARD, () => write(colleague, place));
    expectViolated(over.at(-1), "quota-exceeded", ["daily"]);
    const refused = await write(at(org.owner, 1), place);
    expectViolated(refused, "quota-exceeded", ["daily", "standard"]);
    const midnight = (86_400_000 - (Date.now() % 86_400_000)) / 1_000;
    expect(Math.abs(Number(refused.headers.get("retry-after")) - midnight)).toBeLessThan(3);
  });

  test("what is left is never negative and grows by the refill alone", async () => {
    const place = await home(cell.api);
    const seen: [number, number][] = [];
    for (let index = 0; index < 12; index += 1) {
      const answer = expectStatus(await write(place.owner, place), 200);
      seen.push([Number(answer.headers.get("x-ratelimit-remaining")), Date.now()]);
    }
    expect(seen[0]?.[0]).toBe(STANDARD - 1);
    seen.slice(1).forEach(([left, now], index) => {
      const [before, then] = seen[index] ?? expect.unreachable();
      expect(left).toBeGreaterThanOrEqual(0);
      expect(left).toBeLessThanOrEqual(before + Math.ceil(((now - then) * STANDARD) / 60_000));
    });
  });

  test("a block holds at every isolate, is not lengthened, and who waits Retry-After out is admitted", async () => {
    const place = await home(cell.api);
    const since = Date.now();
    const refused = await poll("a refusal", async () =>
      (await atOnce(8, () => read(place.owner, place))).find((answer) => answer.status === 429),
    );
    const wait = Number(refused.headers.get("retry-after"));
    expect(wait).toBeGreaterThan(0);
    const end = Date.now() + wait * 1_000;
    let calls = 0;
    await poll("the block's end", async () => {
      const [before, answer] = [Date.now(), await read(at(place.owner, calls), place)];
      calls += 1;
      if (before >= end) expectStatus(answer, 200);
      return answer.status === 200;
    });
    expect(Date.now()).toBeGreaterThanOrEqual(since + 2_000);
    expect(calls).toBeGreaterThan(3);
  });

  test("a limit that is raised ends its refusals within five seconds, blocks included", async () => {
    const org = await organisation(await user(cell.api));
    await inTurn(STRICT, () => invitation(org, org.owner));
    const refused = await invitation(org, org.owner);
    expectViolated(refused, "rate-limited", ["strict"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(100);
    const operator = { ...org.owner, token: world().operatorToken };
    const raised = { limits: { strict: { burst: 9 * STRICT } } };
    expectStatus(await call(operator, "PUT", `/v1/operator/orgs/${org.id}/settings`, raised), 200);
    await poll("an invitation", async () => (await invitation(org, org.owner)).status === 201, 5_000);
  });

  test("a policy in shadow refuses nothing, and the log says what it would have refused", async () => {
    const place = await home(cell.api);
    const operator = { ...place.owner, token: world().operatorToken };
    const settings = `/v1/operator/orgs/${place.org_id}/settings`;
    expectStatus(await call(operator, "PUT", settings, { shadow: ["standard"] }), 200);
    await poll("a call that the policy would have refused", async () => {
      const answer = expectStatus(await write(place.owner, place), 200);
      const id = answer.headers.get("x-request-id") ?? expect.unreachable();
      return (await cell.logs()).some((line) => line.includes(id) && /"shadow":"standard"/.test(line));
    });
    const answers = await inTurn(STANDARD, () => write(place.owner, place));
    expect(statuses(answers)).toEqual([200]);
    // What is shown is a limit that refuses.
    expect(limitOf(answers.at(-1) ?? expect.unreachable())).toBe(String(5 * STANDARD));
  });

  test("all buckets are charged as one: an address is refused by its name, and takes nothing from its callers", async () => {
    const made = await organisation(await user());
    const admins = await inTurn(7, () => orgMember(made, "admin"));
    const attempts = [...admins, ...admins, ...admins];
    const answers = await inTurn(attempts.length, (index) =>
      invitation(made, at(attempts[index] ?? made.owner, index)),
    );
    expect(passedOf(answers)).toBe(5 * STRICT);
    const refused = answers.at(-1) ?? expect.unreachable();
    expectViolated(refused, "rate-limited", ["strict-address"]);
    expect(limitOf(refused)).toBe(String(5 * STRICT));
  });

  test("a workspace's bucket is refused by its name too, whatever addresses its callers have", async () => {
    const made = await organisation(await user());
    const admins = await inTurn(4, () => orgMember(made, "admin"));
    const more = await inTurn(17, (index) =>
      orgMember({ ...made, owner: admins[index % 4] ?? made.owner }, "admin"),
    );
    const callers = [...admins, ...more];
    const from = (index: number) => ({ "cf-connecting-ip": `192.0.2.${index}` });
    const attempts = await atOnce(20 * STRICT, (index) =>
      invitation(made, at(callers[index % 20] ?? made.owner, index), from(index % 20)),
    );
    expect(passedOf(attempts)).toBe(20 * STRICT);
    const refused = await invitation(made, at(callers[20] ?? made.owner, 0), from(20));
    expectViolated(refused, "rate-limited", ["strict-workspace"]);
    expect(limitOf(refused)).toBe(String(20 * STRICT));
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  test("a neighbour and another tenant have buckets of their own, and a better plan larger ones", async () => {
    const org = await organisation(await user(cell.api));
    const foreign = await organisation(await user(cell.api));
    await inTurn(STRICT, () => invitation(org, org.owner));
    expectProblem(await invitation(org, org.owner), 429, "rate-limited");
    expectStatus(await invitation(foreign, foreign.owner), 201);
    const place = await workspace(foreign);
    expect(limitOf(await write(place.owner, place))).toBe(String(STANDARD));
    expectStatus(await call(foreign.owner, "PUT", `/v1/orgs/${foreign.id}/plan`, { plan: "team" }), 200);
    // The roles of a workspace's gate are as old as its lease at the most.
    const larger = await workspace(foreign);
    expect(limitOf(await write(larger.owner, larger))).toBe(String(5 * STANDARD));
  });

  test("a stranger is told nothing and takes nothing", async () => {
    const place = await home(cell.api);
    const stranger = await user(cell.api);
    expectProblem(await write(stranger, place), 404, "not-found");
    const answer = expectStatus(await write(place.owner, place), 200);
    expect(answer.headers.get("x-ratelimit-remaining")).toBe(String(STANDARD - 1));
  });
});

describe("a Redis in trouble", () => {
  let cell: OwnCell;
  beforeAll(async () => {
    cell = await world().restart({ LIMITS, ...REDIS });
  });
  afterAll(() => cell.stop());

  test("every key ends by itself and names nothing but ids and addresses", async () => {
    const org = await organisation(await user(cell.api));
    await inTurn(STRICT + 1, () => invitation(org, org.owner));
    const keys = (await redis("KEYS", `drey:development:limit:{org:${org.id}}:*`)) as string[];
    const kinds = keys.map((key) => key.match(/\}:(\w+\/\w+)\//)?.[1]);
    expect(kinds.sort()).toEqual(["address/strict", "principal/strict", "workspace/strict"]);
    for (const key of keys) {
      const ttl = Number(await redis("PTTL", key));
      expect([ttl > 0, ttl <= STRICT_MS]).toEqual([true, true]);
      expect(key).not.toMatch(/@|eyJ|Bearer/);
    }
  });

  test.each(["status500", "drop", "garbage"] as const)(
    "%s: the strict tier is closed, the others go on, strangers stay out",
    async (kind) => {
      const org = await organisation(await user(cell.api));
      const place = await workspace(org);
      const stranger = await user(cell.api);
      for (const gate of [`{org:${org.id}}`, `{${place.id}}`])
        await redisFault({ kind, match: gate, times: 99 });
      await expectInsured(org, place, stranger);
    },
  );

  test("nothing listens there: the same", async () => {
    await using alone = await world().restart({
      LIMITS,
      ...REDIS,
      UPSTASH_REDIS_REST_URL: `http://${LOOPBACK}:${await freePort()}`,
    });
    const there = (person: User): User => ({ ...person, api: alone.api });
    const org = await organisation(await user());
    const place = await workspace(org);
    await expectInsured({ ...org, owner: there(org.owner) }, place, there(await user()));
  });

  test.each(["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"])(
    "without %s nobody is served, and the log says which variable is wrong",
    async (missing) => {
      await using lost = await world().restart({ LIMITS, ...REDIS, [missing]: "" });
      const answer = await fetch(`${lost.api}/v1/me`);
      expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "30"]);
      expect(await answer.text()).not.toContain("REDIS");
      const said = await poll("the log", async () =>
        (await lost.logs()).find((line) => line.includes("config")),
      );
      expect(said).toContain(
        "RATE_LIMIT_PROVIDER is redis, but UPSTASH_REDIS_REST_URL or its token is missing",
      );
    },
  );

  test("a slow Redis is waited for no longer than it may take, and then counts as one that is down", async () => {
    await using hasty = await world().restart({ LIMITS, ...REDIS, REDIS_CHARGE_MS: "50" });
    const there = (person: User): User => ({ ...person, api: hasty.api });
    const org = await organisation(await user());
    const place = await workspace(org);
    const slow = (gate: string) =>
      redisFault({ kind: "latency", latency_ms: 20_000, match: `{${gate}}`, times: 99 });
    const [strict, standard] = [await slow(`org:${org.id}`), await slow(place.id)];
    const other = there(await user());
    const since = Date.now();
    await expectInsured({ ...org, owner: there(org.owner) }, place, other);
    expect(Date.now() - since).toBeLessThan(15_000);
    // A charge may have been taken although nobody heard of it: it is not sent twice.
    expect(await strict.fired()).toBe(1);
    expect(await standard.fired()).toBeGreaterThan(0);
  });

  test("a value that is no bucket counts as a Redis that is down", async () => {
    const org = await organisation(await user(cell.api));
    const key = `drey:development:limit:{org:${org.id}}:principal/strict/${org.owner.id}`;
    await redis("SET", key, "nonsense", "EX", 60);
    expectProblem(await invitation(org, org.owner), 503, "gate-unavailable");
    await redis("SET", key, "9000000000000000 0 0", "EX", 60);
    expectProblem(await invitation(org, org.owner), 503, "gate-unavailable");
    await redis("DEL", key);
    expectStatus(await invitation(org, org.owner), 201);
  });
});

/** Nobody counts: the strict tier is closed, an isolate gives a tenth of the rest by itself, and roles hold. */
async function expectInsured(org: OwnedOrg, place: OwnedWorkspace, stranger: User): Promise<void> {
  const refused = await invitation(org, org.owner);
  expectProblem(refused, 503, "gate-unavailable");
  expect(refused.headers.get("retry-after")).toMatch(/^[123]$/);
  const answers = await inTurn(9, () => write(org.owner, place));
  expect(statuses(answers)).toEqual([200, 429]);
  expect(passedOf(answers)).toBe(Math.floor(STANDARD / 10));
  expectProblem(await write(stranger, place), 404, "not-found");
}

/** A refusal that names these policies and no other. */
function expectViolated(answer: Answer<unknown> | undefined, code: string, policies: string[]): void {
  const problem = expectProblem(answer ?? expect.unreachable(), 429, code);
  expect(Object(problem)["violated-policies"].sort()).toEqual(policies);
}

function write(caller: User, place: OwnedWorkspace): Promise<Answer<unknown>> {
  const body = { client_id: caller.id, mutations: [] };
  return call(caller, "POST", `/v1/workspaces/${place.id}/sync/push`, body);
}

function read(caller: User, place: OwnedWorkspace): Promise<Answer<unknown>> {
  return call(caller, "GET", `/v1/workspaces/${place.id}`);
}

function invitation(
  org: { id: string },
  caller: User,
  headers: Record<string, string> = {},
): Promise<Answer<unknown>> {
  const body = { email: `${unique("guest")}@example.test`, role: "member" };
  return call(caller, "POST", `/v1/orgs/${org.id}/invitations`, body, headers);
}

function statuses(answers: Answer<unknown>[]): number[] {
  return [...new Set(answers.map((answer) => answer.status))].sort();
}

function passedOf(answers: Answer<unknown>[]): number {
  return answers.filter((answer) => answer.status < 300).length;
}

function limitOf(answer: Answer<unknown>): string | null {
  return answer.headers.get("x-ratelimit-limit");
}
