/** What the operator sees at `/metrics`: the right counts, from every isolate, and nothing that is somebody's. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type Answer,
  call,
  expectProblem,
  expectStatus,
  home,
  inTurn,
  type OwnedWorkspace,
  project,
  type User,
  user,
  workspace,
} from "./actors.ts";
import { apiKey } from "./keys.ts";
import { sit } from "./rooms.ts";
import { type Cell, type OwnCell, poll, world } from "./world.ts";

const EVERY_MS = 100;
const BURST = 6;
const PROJECTS = "/v1/workspaces/{ws}/projects";
const vars = {
  METRICS_EVERY_MS: String(EVERY_MS),
  LIMITS: JSON.stringify({
    standard: { base: BURST, burst: BURST, window_ms: 3_600_000, block_ms: 0 },
    relaxed: { base: 100_000 },
    anonymous: { base: 100_000 },
  }),
};
let cell: OwnCell;

beforeAll(async () => {
  cell = await world().restart(vars, { isolates: 3 });
});
afterAll(() => cell.stop());

test("every request of every isolate is counted, by row, status and plan", async () => {
  const place = await home(cell.api);
  const before = await scrape(cell);
  for (const api of cell.apis) {
    await inTurn(5, () => read({ ...place.owner, api }, place));
    await call({ ...place.owner, api }, "GET", "/v1/nothing-here");
  }
  const labels = { method: "GET", route: PROJECTS, status: "2xx", plan: "free" };
  const none = { method: "none", route: "none", status: "4xx", plan: "none" };
  const after = await until(
    cell,
    (now) =>
      grown(before, now, "drey_requests_total", labels) >= 15 &&
      grown(before, now, "drey_requests_total", none) >= 3,
  );
  expect(grown(before, after, "drey_requests_total", labels)).toBe(15);
  expect(grown(before, after, "drey_requests_total", none)).toBe(3);
  const row = { method: "GET", route: PROJECTS };
  expect(grown(before, after, "drey_request_duration_seconds_count", row)).toBe(15);
  expect(grown(before, after, "drey_request_duration_seconds_bucket", { ...row, le: "+Inf" })).toBe(15);
  expect(after.value("drey_isolates")).toBe(3);
  for (const sample of after.all("drey_isolate_memory_bytes"))
    expect(sample.value).toBeGreaterThan(1_000_000);
  // It stays what it is once nobody calls.
  await until(cell, (now) => grown(after, now, "drey_requests_total", { route: "/metrics" }) >= 5);
  expect(grown(before, await scrape(cell), "drey_requests_total", labels)).toBe(15);
});

test("refused calls are counted under their policy and code, hits under their level, and a hot caller makes few hops", async () => {
  const place = await home(cell.api);
  const before = await scrape(cell);
  const writes = await inTurn(BURST + 4, () => write(place.owner, place));
  const limited = writes.filter((answer) => answer.status === 429).length;
  expect(limited).toBeGreaterThan(0);
  await inTurn(40, () => read(place.owner, place));
  const after = await until(
    cell,
    (now) =>
      grown(before, now, "drey_limited_total", { policy: "standard" }) >= limited &&
      grown(before, now, "drey_requests_total", { route: PROJECTS }) >= 40,
  );
  expect(grown(before, after, "drey_limited_total", { policy: "standard" })).toBe(limited);
  expect(grown(before, after, "drey_refusals_total", { code: "rate-limited" })).toBe(limited);
  const lookups = (level: string) => grown(before, after, "drey_cache_lookups_total", { level });
  expect(lookups("memory") + lookups("miss") + lookups("collapsed")).toBe(40);
  expect(lookups("memory")).toBeGreaterThan(30);
  // Writes that find their purse empty hop; of the 40 reads only the first few do. What made the place may be told only now.
  expect(grown(before, after, "drey_request_gate_hops_sum")).toBeLessThan(BURST + 4 + 20);
  expect(grown(before, after, "drey_neon_round_trips_total")).toBeGreaterThan(0);
  const tokens = (event: string) => after.value("drey_lease_tokens_total", { event });
  expect(tokens("granted")).toBeGreaterThanOrEqual(tokens("spent") + tokens("expired"));
  expect(grown(before, after, "drey_lease_tokens_total", { event: "spent" })).toBeGreaterThanOrEqual(40);
  await poll("a lease that is renewed beside a request", async () => {
    await read(place.owner, place);
    return grown(before, await scrape(cell), "drey_gate_renewals_total") > 0;
  });
});

test("what a policy in shadow would have refused is counted, though nothing is refused", async () => {
  const place = await home(cell.api);
  const operator = { ...place.owner, token: world().operatorToken };
  const settings = `/v1/operator/orgs/${place.org_id}/settings`;
  expectStatus(await call(operator, "PUT", settings, { shadow: ["standard"] }), 200);
  const before = await scrape(cell);
  await poll("a call that the policy would have refused", async () => {
    await write(place.owner, place);
    const now = await scrape(cell);
    return grown(before, now, "drey_shadow_refusals_total", { policy: "standard" }) > 0;
  });
  const [known, answers] = [await scrape(cell), await inTurn(5, () => write(place.owner, place))];
  expect(answers.map((answer) => answer.status)).toEqual(Array(5).fill(200));
  const shadowed = (now: Scrape) => grown(known, now, "drey_shadow_refusals_total", { policy: "standard" });
  await until(cell, (now) => shadowed(now) >= 5);
});

test("of many tenants the ten busiest are shown, the busiest first, and nothing of anybody else", async () => {
  await using crowded = await world().restart(vars, { isolates: 3 });
  const owners = await Promise.all([1, 2, 3].map(() => home(crowded.api)));
  const more = await Promise.all(
    owners.map((place) => inTurn(4, () => workspace({ id: place.org_id, owner: place.owner }))),
  );
  const places = [...owners, ...more.flat()];
  expect(places.length).toBe(15);
  for (const [index, place] of places.entries()) await inTurn(2 + index, () => read(place.owner, place));
  const first = places[0] ?? expect.unreachable();
  const key = await apiKey(first, { scopes: ["read"] });
  await call(null, "GET", `${crowded.api}${path(first)}?secret=query-of-somebody`, undefined, {
    "x-api-key": key.key,
  });
  const text = await poll("the busiest", async () => {
    const now = await scrape(crowded);
    const shown = now.all("drey_tenant_requests").map((sample) => [sample.labels.tenant, sample.value]);
    const busiest = places.at(-1);
    return shown[0]?.[0] === busiest?.id && shown[0]?.[1] === 16 && now;
  });
  const shown = text.all("drey_tenant_requests");
  expect(shown.length).toBe(10);
  expect(shown.map((one) => one.value)).toEqual(shown.map((one) => one.value).sort((a, b) => b - a));
  for (const { owner } of places)
    for (const secret of [owner.id, owner.sub, owner.email, owner.token, owner.name])
      expect(text.text).not.toContain(secret);
  for (const secret of [key.key, key.id, "query-of-somebody", world().operatorToken, "127.0.0.1"])
    expect(text.text).not.toContain(secret);
});

test("open sockets of rooms are counted", async () => {
  const place = await home(cell.api);
  const before = (await scrape(cell)).value("drey_presence_sockets");
  const seat = await sit(place.owner, place);
  await until(cell, (now) => now.value("drey_presence_sockets") === before + 1);
  seat.close();
  await until(cell, (now) => now.value("drey_presence_sockets") === before);
});

test("what a gate asks of Postgres by itself is counted, though the isolate asks nothing", async () => {
  await using brisk = await world().restart({ ...vars, GATE_REFRESH_MS: "50" }, { isolates: 1 });
  const place = await home(brisk.api);
  await inTurn(2, () => read(place.owner, place));
  const before = await until(brisk, (now) => now.value("drey_requests_total", { route: PROJECTS }) >= 2);
  await poll("a refresh of the gate", async () => {
    const answer = expectStatus(await read(place.owner, place), 200);
    expect(answer.headers.get("x-cache")).toBe("HIT");
    return grown(before, await scrape(brisk), "drey_neon_round_trips_total") > 0;
  });
});

test("an object that dies loses at most what it did not store, and the counts go on", async () => {
  const place = await home(cell.api);
  const before = await scrape(cell);
  await inTurn(7, () => read(place.owner, place));
  const counted = (now: Scrape) => grown(before, now, "drey_requests_total", { route: PROJECTS });
  await until(cell, (now) => counted(now) >= 7);
  // Sums are stored after a second: a death later than that loses nothing, and what comes after is added.
  let alive = Date.now();
  await poll(
    "sums that outlive the object",
    async () => {
      if (Date.now() - alive < 1_500) return false;
      await cell.evict("Metrics", "all");
      alive = Date.now();
      if (counted(await scrape(cell)) >= 7) return true;
      await inTurn(7, () => read(place.owner, place));
      return false;
    },
    20_000,
  );
  const kept = await scrape(cell);
  await inTurn(3, () => read(place.owner, place));
  await until(cell, (now) => grown(kept, now, "drey_requests_total", { route: PROJECTS }) >= 3);
});

test("without its object requests are as they were, and only the operator is told", async () => {
  await using blind = await world().restart(vars, { broken: "METRICS", isolates: 2 });
  const place = await home(blind.api);
  const answers = await inTurn(20, () => read(place.owner, place));
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
  await project(place);
  expectProblem(await metrics(blind), 503, "upstream-unavailable");
  expectStatus(await read(place.owner, place), 200);
});

test("only the operator reads it, and no cache keeps it", async () => {
  const url = `${cell.api}/metrics`;
  expectProblem(await call(null, "GET", url), 401, "unauthenticated");
  const wrong = { authorization: `Bearer ${world().operatorToken}x` };
  expectProblem(await call(null, "GET", url, undefined, wrong), 401, "unauthenticated");
  expectProblem(await call(await user(cell.api), "GET", "/metrics"), 401, "unauthenticated");
  const answer = expectStatus(await metrics(cell), 200);
  expect(answer.headers.get("content-type")).toBe(
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
  );
  expect(answer.headers.get("cache-control")).toBe("no-store");
  expect(answer.text.endsWith("\n# EOF\n")).toBe(true);
});

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

interface Scrape {
  text: string;
  all(name: string, labels?: Record<string, string>): Sample[];
  /** The sum of the samples that have these labels; 0 if there is none. */
  value(name: string, labels?: Record<string, string>): number;
}

async function scrape(from: Cell): Promise<Scrape> {
  const { text } = expectStatus(await metrics(from), 200);
  const samples = text.split("\n").flatMap((line) => sampleOf(line) ?? []);
  const all = (name: string, labels: Record<string, string> = {}) =>
    samples.filter(
      (one) =>
        one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value),
    );
  return { text, all, value: (name, labels) => all(name, labels).reduce((sum, one) => sum + one.value, 0) };
}

function sampleOf(line: string): Sample | undefined {
  const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  if (!name || line.startsWith("#")) return undefined;
  const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, text]) => [label, text]);
  return { name, labels: Object.fromEntries(pairs), value: Number(value) };
}

function until(from: Cell, holds: (now: Scrape) => boolean): Promise<Scrape> {
  return poll("the counts", async () => {
    const now = await scrape(from);
    return holds(now) && now;
  });
}

function grown(before: Scrape, after: Scrape, name: string, labels: Record<string, string> = {}): number {
  return after.value(name, labels) - before.value(name, labels);
}

function metrics(from: Cell): Promise<Answer<unknown>> {
  const headers = { authorization: `Bearer ${world().operatorToken}` };
  return call<unknown>(null, "GET", `${from.api}/metrics`, undefined, headers);
}

function path(place: OwnedWorkspace): string {
  return `/v1/workspaces/${place.id}/projects`;
}

function read(caller: User, place: OwnedWorkspace): Promise<Answer<unknown>> {
  return call(caller, "GET", path(place));
}

function write(caller: User, place: OwnedWorkspace): Promise<Answer<unknown>> {
  return call(caller, "PATCH", `/v1/workspaces/${place.id}`, {});
}
