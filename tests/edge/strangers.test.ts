/** Who names tenants that are not his: told nothing, charged for each name, and soon nobody is asked for him any more. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type Answer,
  atOnce,
  call,
  expectProblem,
  expectStatus,
  home,
  inTurn,
  nowhere,
  type User,
  user,
} from "./actors.ts";
import { type Forwarder, forwarder } from "./forwarder.ts";
import { apiKey, program } from "./keys.ts";
import { type OwnCell, world } from "./world.ts";

/** With a rate that adds nothing during a test. */
const BURST = 6;
/** What a gate asks of a workspace, and of an organisation. */
const LOADS = ["authz_epoch, workspace_role(", "authz_epoch, org_role("];
let way: Forwarder;
let cell: OwnCell;

beforeAll(async () => {
  way = await forwarder();
  const anonymous = { base: BURST, window_ms: 3_600_000, burst: BURST };
  cell = await world().restart({ NEON_HTTP_URL: way.url, LIMITS: JSON.stringify({ anonymous }) });
});
afterAll(async () => {
  await cell.stop();
  await way[Symbol.asyncDispose]();
});

test.each([
  ["workspaces", () => `/v1/workspaces/${nowhere("ws")}`],
  ["organisations", () => `/v1/orgs/${nowhere("org")}`],
])("who walks through made-up %s costs Postgres no more than a burst of questions", async (_what, path) => {
  const place = await home(cell.api);
  const asked = loads();
  const answers = await inTurn(BURST + 4, () => call(place.owner, "GET", path()));
  expect(statuses(answers)).toEqual([...Array(BURST).fill(404), ...Array(4).fill(429)]);
  expect(loads() - asked).toBe(BURST);
  const problem = expectProblem(answers.at(-1) ?? expect.unreachable(), 429, "rate-limited");
  expect(problem).toMatchObject({ "violated-policies": ["anonymous"] });
  // Where he is known he is governed by his own limits alone.
  expectStatus(await call(place.owner, "GET", `/v1/orgs/${place.org_id}`), 200);
});

test("what is named all at once is owed, and a name that is asked about again costs nothing", async () => {
  const stranger = await user(cell.api);
  const path = `/v1/workspaces/${nowhere("ws")}`;
  const again = await atOnce(3 * BURST, () => call(stranger, "GET", path));
  expect(new Set(statuses(again))).toEqual(new Set([404]));
  const other = await inTurn(BURST - 1, () => unknown(stranger));
  expect(statuses(other)).toEqual(Array(BURST - 1).fill(404));
  const crowd = await user(cell.api);
  await atOnce(3 * BURST, () => unknown(crowd));
  const refused = await unknown(crowd);
  expectProblem(refused, 429, "rate-limited");
  // All that were let through are paid for before the next: ten minutes each.
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(60);
});

test("a made-up revision tells no stranger that a tenant exists, and each question is charged", async () => {
  const place = await home();
  const [owner, stranger] = [place.owner, await user()].map((caller) => ({ ...caller, api: cell.api }));
  // New credentials are counted by address, and this one is nobody else's.
  const ahead = { "x-drey-revision": "1000000", "cf-connecting-ip": "203.0.113.7" };
  const ask = (caller: User | undefined, path: string) =>
    call(caller ?? expect.unreachable(), "GET", path, undefined, ahead);
  const paths = [`/v1/orgs/${place.org_id}`, `/v1/workspaces/${place.id}`] as const;
  for (const path of paths) {
    expectProblem(await ask(owner, path), 400, "revision-unknown");
    expectProblem(await ask(stranger, path), 404, "not-found");
  }
  const asked = loads();
  const answers = await inTurn(BURST, () => ask(stranger, paths[1]));
  expect(statuses(answers)).toEqual([...Array(BURST - 2).fill(404), 429, 429]);
  expect(loads() - asked).toBe(BURST - 2);
});

test("a key answers for the names it makes up, and its creator does not", async () => {
  const place = await home(cell.api);
  const key = program(await apiKey(place), cell.api);
  expectStatus(await call(key, "GET", `/v1/workspaces/${place.id}`), 200);
  const answers = await inTurn(BURST + 1, () => unknown(key));
  expect(statuses(answers)).toEqual([...Array(BURST).fill(404), 429]);
  expectStatus(await call(key, "GET", `/v1/workspaces/${place.id}`), 200);
  expectProblem(await unknown(place.owner), 404, "not-found");
});

function unknown(caller: User): Promise<Answer<unknown>> {
  return call(caller, "GET", `/v1/workspaces/${nowhere("ws")}`);
}

function loads(): number {
  return LOADS.reduce((sum, text) => sum + way.count(text), 0);
}

function statuses(answers: Answer<unknown>[]): number[] {
  return answers.map((answer) => answer.status);
}
