/** When gates fail every call: authorization never opens, limits shrink, the strict tier is closed. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  call,
  expectProblem,
  expectStatus,
  home,
  inTurn,
  type OwnedWorkspace,
  strangerTo,
  user,
} from "./actors.ts";
import type { Org } from "./shapes.ts";
import { type OwnCell, world } from "./world.ts";

let headless: OwnCell;
let place: OwnedWorkspace;

beforeAll(async () => {
  headless = await world().restart({}, { broken: "GATE" });
  place = await home();
});
afterAll(() => headless.stop());

test("a member reads and writes, on a tenth of his limits", async () => {
  const member = { ...place.owner, api: headless.api };
  const read = expectStatus(await call(member, "GET", `/v1/workspaces/${place.id}`), 200);
  expect(read.headers.get("ratelimit-policy")).toBe('"relaxed";q=50;w=60');
  const made = await call(member, "POST", `/v1/workspaces/${place.id}/projects`, {
    name: "Made without a gate",
  });
  expect(expectStatus(made, 201).headers.get("ratelimit-policy")).toBe('"standard";q=10;w=60');
});

test("a caller over that tenth is refused without asking Postgres", async () => {
  const caller = { ...(await user()), api: headless.api };
  const answers = [];
  for (let n = 0; n < 12; n++) answers.push(await call<Org>(caller, "POST", "/v1/orgs", { name: "Over" }));
  expect(answers.slice(0, 10).map((answer) => answer.status)).toEqual(Array(10).fill(201));
  const refused = answers[11];
  expect(refused?.status).toBe(429);
  expect(refused?.headers.get("server-timing")).toContain('db;dur=0;desc="0"');
});

test("however many names callers have, an isolate gives in all no more than a hundred of them may have", async () => {
  const LIMITS = JSON.stringify({ anonymous: { base: 9_999 }, relaxed: { base: 10, window_ms: 3_600_000 } });
  await using alone = await world().restart({ LIMITS }, { broken: "GATE" });
  const callers = await inTurn(101, () => strangerTo(alone.api));
  const answers = await inTurn(101, (index) => call(callers[index] ?? place.owner, "GET", "/v1/me"));
  expect(answers.slice(0, 100).map((answer) => answer.status)).toEqual(Array(100).fill(200));
  expectProblem(answers[100] ?? expect.unreachable(), 503, "gate-unavailable");
  expectProblem(await call(callers[0] ?? place.owner, "GET", "/v1/me"), 429, "rate-limited");
});

test("a stranger's answer is 404, and too little role is 403", async () => {
  const stranger = { ...(await user()), api: headless.api };
  expectProblem(await call(stranger, "GET", `/v1/workspaces/${place.id}`), 404, "not-found");
  expectProblem(await call(stranger, "GET", `/v1/orgs/${place.org_id}`), 404, "not-found");
});

test("the strict tier is closed, and not everybody is to come again at the same time", async () => {
  const owner = { ...place.owner, api: headless.api };
  const invitation = { email: "guest@example.test", role: "member" };
  const answers = await inTurn(60, () =>
    call(owner, "POST", `/v1/orgs/${place.org_id}/invitations`, invitation),
  );
  for (const answer of answers) expectProblem(answer, 503, "gate-unavailable");
  // That one of the three is missing has a chance of one in ten thousand millions.
  const waits = new Set(answers.map((answer) => answer.headers.get("retry-after")));
  expect([...waits].sort()).toEqual(["1", "2", "3"]);
});
