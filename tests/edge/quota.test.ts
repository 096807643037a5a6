/** The daily quota of an organisation: never passed, hardly under-used, told in every header, over at midnight. */
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
  user,
  workspace,
} from "./actors.ts";
import { forwarder } from "./forwarder.ts";
import { type OwnCell, poll, world } from "./world.ts";

const QUOTA = 60;
const DAY_MS = 86_400_000;
/** So that a busy machine is not taken for a silent source, whose calls are let in as a debt. */
const PATIENT = { QUOTA_WAIT_MS: "25000", GATE_TIMEOUT_MS: "28000", REQUEST_DEADLINE_MS: "30000" };
/** Nothing but the day refuses here. */
const WIDE = { base: 100_000, window_ms: 60_000, burst: 100_000, block_ms: 0 };
const TIERS = {
  anonymous: WIDE,
  "sign-in": WIDE,
  strict: WIDE,
  standard: WIDE,
  relaxed: WIDE,
  tickets: WIDE,
};

interface Usage {
  today: { day: string; used: number; limit: number; remaining: number; resets_at: string };
  days: { day: string; used: number }[];
}

let cell: OwnCell;

beforeAll(async () => {
  cell = await world().restart(limits(QUOTA, { GATE_REFRESH_MS: "200", ...PATIENT }), { isolates: 3 });
});
afterAll(() => cell.stop());

test("parallel calls through three isolates and two workspaces are admitted to the last of the day, and none beyond", async () => {
  const org = await organisation(await user(cell.api));
  const places = [await workspace(org), await workspace(org)];
  const answers = await atOnce(3 * QUOTA, (index) =>
    act({ ...org.owner, api: cell.apis[index % 3] ?? "" }, places[index % 2]),
  );
  // A block of so small a quota is one call: nothing is left over in any gate.
  expect(admitted(answers)).toBe(QUOTA);
  expect((await usage(org.owner, org.id)).today).toMatchObject({ used: QUOTA, limit: QUOTA, remaining: 0 });
});

test("with blocks and leases a day is passed by nobody and used to within what gates and isolates may hold", async () => {
  const quota = 1_000;
  await using large = await world().restart(limits(quota, PATIENT), { isolates: 3 });
  const place = await home(large.api);
  const answers: Answer<unknown>[] = [];
  while (!answers.some((answer) => answer.status === 429)) {
    const more = await atOnce(60, (index) =>
      act({ ...place.owner, api: large.apis[index % 3] ?? "" }, place),
    );
    answers.push(...more);
    expect(answers.length).toBeLessThan(2 * quota);
  }
  expect(admitted(answers)).toBeLessThanOrEqual(quota);
  // Leased tokens end unspent when an isolate goes quiet, and a gate holds at most a hundredth.
  expect(admitted(answers)).toBeGreaterThan(quota / 2);
  expect((await usage(place.owner, place.org_id)).today.used).toBeLessThanOrEqual(quota);
}, 120_000);

test("every call in a workspace tells how the day stands, beside its tier", async () => {
  const place = await home(cell.api);
  const [first, second] = [await act(place.owner, place), await act(place.owner, place)];
  expect(first.headers.get("ratelimit-policy")).toBe(`"standard";q=100000;w=60, "daily";q=${QUOTA};w=86400`);
  const left = (answer: Answer<unknown>) =>
    /"daily";r=(\d+);t=(\d+)/.exec(answer.headers.get("ratelimit") ?? "");
  const [, before, reset] = left(first) ?? expect.unreachable();
  expect(Number(left(second)?.[1])).toBe(Number(before) - 1);
  expect(Math.abs(Number(reset) - (DAY_MS - (Date.now() % DAY_MS)) / 1_000)).toBeLessThan(3);
  // The x- families have room for one policy: the nearer end.
  expect(first.headers.get("x-ratelimit-limit")).toBe(String(QUOTA));
  expect(first.headers.get("x-ratelimit-remaining")).toBe(before);
});

test("a used-up day is 429 quota-exceeded that names the day and its end, for every member, and nothing happens", async () => {
  const place = await home(cell.api);
  const colleague = await member(place, "editor");
  await untilRefused(place);
  const name = { name: "Not today" };
  for (const caller of [place.owner, colleague]) {
    const refused = await call(caller, "POST", `/v1/workspaces/${place.id}/projects`, name);
    const problem = expectProblem(refused, 429, "quota-exceeded");
    expect(problem).toMatchObject({
      type: "https://iana.org/assignments/http-problem-types#quota-exceeded",
      "violated-policies": ["daily"],
      retry_after: Number(refused.headers.get("retry-after")),
    });
    const midnight = (DAY_MS - (Date.now() % DAY_MS)) / 1_000;
    expect(Math.abs(Number(problem.retry_after) - midnight)).toBeLessThan(3);
    expect(refused.headers.get("ratelimit")).toMatch(/^"daily";r=0;t=\d+$/);
  }
});

test("one organisation's day is not another's, and administering goes on when it is over", async () => {
  const [place, other] = [await home(cell.api), await home(cell.api)];
  await untilRefused(place);
  expectStatus(await act(other.owner, other), 200);
  expect((await usage(place.owner, place.org_id)).today.remaining).toBe(0);
  expectStatus(await call(place.owner, "GET", `/v1/orgs/${place.org_id}/members`), 200);
});

test("a better plan ends the refusal within seconds", async () => {
  const place = await home(cell.api);
  await untilRefused(place);
  expectStatus(await call(place.owner, "PUT", `/v1/orgs/${place.org_id}/plan`, { plan: "team" }), 200);
  await poll("the better plan", async () => (await act(place.owner, place)).status === 200, 15_000);
  expect((await usage(place.owner, place.org_id)).today.limit).toBe(5 * QUOTA);
});

test("at the end of a day the next one begins, and the day before is kept", async () => {
  await using hasty = await world().restart(limits(5, { QUOTA_DAY_MS: "3000", ...PATIENT }));
  const place = await home(hasty.api);
  const refused = await untilRefused(place);
  expect(Number(refused.headers.get("retry-after"))).toBeLessThanOrEqual(3);
  await poll("the next day", async () => (await act(place.owner, place)).status === 200);
  await untilRefused(place);
  await poll("the day after", async () => (await act(place.owner, place)).status === 200);
  const days = (await usage(place.owner, place.org_id)).days.map((day) => day.used);
  expect(days.filter((used) => used === 5).length).toBeGreaterThanOrEqual(2);
  expect(Math.max(...days)).toBe(5);
});

test("calls that go over midnight are refused by neither day", async () => {
  // A second is the shortest day that a date can number; blocks of three keep a question under way most of the time.
  await using hasty = await world().restart(limits(399, { QUOTA_DAY_MS: "1000", ...PATIENT }));
  const place = await home(hasty.api);
  const until = Date.now() + 6_000;
  let calls = 0;
  for (const since = Date.now(); Date.now() < until; calls += 1) {
    const refused = (await act(place.owner, place)).status !== 200;
    // Faster than 399 a day would be refused rightly.
    expect(refused && calls / (1 + (Date.now() - since) / 1_000) < 150).toBe(false);
  }
});

test("an evicted gate loses no more than it held, and gives nothing twice", async () => {
  const place = await home(cell.api);
  const before = await inTurn(20, () => act(place.owner, place));
  await cell.evict("WorkspaceGate", place.id);
  await cell.evict("WorkspaceGate", `org:${place.org_id}`);
  const after = await inTurn(QUOTA, () => act(place.owner, place));
  expect(admitted(before)).toBe(20);
  const count = admitted([...before, ...after]);
  expect(count).toBeLessThanOrEqual(QUOTA);
  expect(count).toBeGreaterThanOrEqual(QUOTA - 2);
});

test("while Postgres does not answer calls go on, and are counted when it does", async () => {
  await using way = await forwarder();
  await using warm = await world().restart(limits(QUOTA, { NEON_HTTP_URL: way.url, GATE_REFRESH_MS: "100" }));
  const place = await home(warm.api);
  const read = () => call(place.owner, "GET", `/v1/workspaces/${place.id}/projects`);
  expectStatus(await read(), 200);
  const { used } = (await usage(place.owner, place.org_id)).today;
  way.down(true);
  const answers = await inTurn(12, read);
  way.down(false);
  expect(admitted(answers)).toBe(12);
  await poll("the debt", async () => {
    await read();
    return (await usage(place.owner, place.org_id)).today.used >= used + 12;
  });
});

test("while only the organisation's gate is silent nobody owes more than the day, nor for longer than a gate may be", async () => {
  await using way = await forwarder();
  const vars = { NEON_HTTP_URL: way.url, GATE_REFRESH_MS: "100", GATE_STALE_MS: "8000" };
  await using warm = await world().restart(limits(QUOTA, vars));
  const [greedy, patient] = [await home(warm.api), await home(warm.api)];
  const plan = { plan: "enterprise" };
  expectStatus(await call(patient.owner, "PUT", `/v1/orgs/${patient.org_id}/plan`, plan), 200);
  way.down(true, "quota_reserve");
  const answers = await inTurn(QUOTA + 20, () => act(greedy.owner, greedy));
  // What a lease holds is owed too.
  expect(admitted(answers)).toBeLessThanOrEqual(QUOTA);
  expect(admitted(answers)).toBeGreaterThan(QUOTA / 2);
  const over = answers.find((answer) => answer.status !== 200) ?? expect.unreachable();
  expectProblem(over, 429, "quota-exceeded");
  expectStatus(await act(patient.owner, patient), 200);
  const refusal = async () => {
    const answer = await act(patient.owner, patient);
    return answer.status !== 200 && answer;
  };
  const silent = await poll("the end of patience", refusal, 20_000);
  expectProblem(silent, 503, "gate-unavailable");
  way.down(false);
  await poll("the source", async () => (await act(patient.owner, patient)).status === 200);
  // Whoever asks again brings the debt along.
  await poll("the debt", async () => {
    await act(greedy.owner, greedy);
    return (await usage(greedy.owner, greedy.org_id)).today.used >= QUOTA;
  });
}, 60_000);

test("a gate that dies while it owes goes on owing, and all of it is counted", async () => {
  await using way = await forwarder();
  await using warm = await world().restart(limits(QUOTA, { NEON_HTTP_URL: way.url, GATE_REFRESH_MS: "100" }));
  const place = await home(warm.api);
  const callers = [place.owner, await member(place, "viewer"), await member(place, "viewer")];
  way.down(true, "quota_reserve");
  const answers: Answer<unknown>[] = [];
  // Each caller is new to the isolate, which asks the gate for him: it lives when its end is asked for.
  for (const caller of callers) {
    answers.push(...(await inTurn(QUOTA / 2, () => act(caller, place))));
    await warm.evict("WorkspaceGate", place.id);
  }
  expectProblem(answers.at(-1) ?? expect.unreachable(), 429, "quota-exceeded");
  expect(admitted(answers)).toBeLessThanOrEqual(QUOTA);
  way.down(false);
  await poll("the debt", async () => {
    await act(place.owner, place);
    return (await usage(place.owner, place.org_id)).today.used >= admitted(answers);
  });
});

test.each(["0", "849", "999", "day"])(
  "a day of %s ms is refused by name at the first request",
  async (ms) => {
    await using wrong = await world().restart(limits(QUOTA, { QUOTA_DAY_MS: ms }));
    const answer = await fetch(`${wrong.api}/v1/me`);
    expect(answer.status).toBe(503);
    const said = await poll("the log", async () =>
      (await wrong.logs()).find((line) => line.includes("QUOTA_DAY_MS")),
    );
    expect(said).toMatch(/QUOTA_DAY_MS is (below 1000|not a whole number)/);
  },
);

test("usage shows thirty days, newest first, to any member", async () => {
  const place = await home(cell.api);
  const guest = await member(place, "viewer");
  await inTurn(3, () => act(place.owner, place));
  const { today, days } = await usage(guest, place.org_id);
  const date = new Date().toISOString().slice(0, 10);
  expect(days).toHaveLength(30);
  expect(days[0]).toEqual({ day: date, used: today.used });
  expect(today).toMatchObject({ day: date, limit: QUOTA, remaining: QUOTA - today.used });
  expect(today.used).toBeGreaterThanOrEqual(3);
  expect(new Date(today.resets_at).getTime() % DAY_MS).toBe(0);
  expect(days.map((day) => day.day)).toEqual(
    days
      .map((day) => day.day)
      .sort()
      .reverse(),
  );
});

function limits(daily: number, more: Record<string, string> = {}): Record<string, string> {
  return { LIMITS: JSON.stringify({ ...TIERS, daily: { base: daily } }), ...more };
}

function act(caller: User, place: OwnedWorkspace | undefined): Promise<Answer<unknown>> {
  const body = { client_id: caller.id, mutations: [] };
  return call(caller, "POST", `/v1/workspaces/${place?.id}/sync/push`, body);
}

async function usage(caller: User, org: string): Promise<Usage> {
  return expectStatus(await call<Usage>(caller, "GET", `/v1/orgs/${org}/usage`), 200).body;
}

function untilRefused(place: OwnedWorkspace): Promise<Answer<unknown>> {
  return poll("the end of the day", async () => {
    const answers = await atOnce(20, () => act(place.owner, place));
    return answers.find((answer) => answer.status === 429);
  });
}

function admitted(answers: Answer<unknown>[]): number {
  return answers.filter((answer) => answer.status === 200).length;
}
