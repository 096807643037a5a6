/** When Postgres is slow, fails or loses an answer, and when the client goes away. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, type OwnedWorkspace, trace } from "./actors.ts";
import { neonFault, redisFault } from "./neighbours.ts";
import { catchUp, device, mutation, push, workspaceScope } from "./pushes.ts";
import type { AuditEvent, Page, Project } from "./shapes.ts";
import { type OwnCell, poll, world } from "./world.ts";

const DEADLINE_MS = 1_500;
let impatient: OwnCell;

beforeAll(async () => {
  impatient = await world().restart({ REQUEST_DEADLINE_MS: String(DEADLINE_MS) });
});
afterAll(() => impatient.stop());

test.each(["drop_after_commit", "drop_before_commit", "status500"] as const)(
  "%s of a create without a key: 201, one thing, one event",
  async (kind) => {
    const place = await home();
    const mine = await armed(place, kind);
    const answer = await createProject(place, "Once", { traceparent: mine.traceparent });
    expectStatus(answer, 201);
    expect(await mine.fired()).toBe(1);
    expect(await projects(place)).toEqual([answer.body.id]);
    expect(await createdEvents(place)).toEqual([answer.body.id]);
  },
);

test.each(["drop_after_commit", "drop_before_commit", "status500"] as const)(
  "%s of a create with a key: 201, one thing, and the key replays it",
  async (kind) => {
    const place = await home();
    const mine = await armed(place, kind);
    const headers = { "idempotency-key": randomUUID() };
    const answer = await createProject(place, "Once", { ...headers, traceparent: mine.traceparent });
    expectStatus(answer, 201);
    const again = expectStatus(await createProject(place, "Once", headers), 201);
    expect(again.body).toEqual(answer.body);
    expect(await projects(place)).toEqual([answer.body.id]);
  },
);

test("a push whose answer was lost is applied once", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const mine = await armed(place, "drop_after_commit");
  const batch = [mutation(one, scope), mutation(one, scope)];
  const answer = expectStatus(await push(one, batch, { traceparent: mine.traceparent }), 200);
  expect(answer.body.last_mutation_id).toBe(2);
  expect(await catchUp(place.owner, place, scope)).toHaveLength(2);
});

test("a read that fails once is read again", async () => {
  const place = await home();
  const mine = await armed(place, "status500");
  const path = `/v1/workspaces/${place.id}/projects`;
  expectStatus(await call(place.owner, "GET", path, undefined, { traceparent: mine.traceparent }), 200);
  expect(await mine.fired()).toBe(1);
});

test("Postgres that keeps failing is 503 after at most three tries, and nothing was created", async () => {
  const place = await home();
  const mine = await armed(place, "status500", { times: 50 });
  const answer = await createProject(place, "Never", { traceparent: mine.traceparent });
  expectProblem(answer, 503, "upstream-unavailable");
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(answer.text).not.toMatch(/Control plane|neon|postgres:/i);
  expect(await mine.fired()).toBeLessThanOrEqual(3);
  expect(await projects(place)).toEqual([]);
});

test("Postgres that is too slow is 503 within the request's deadline", async () => {
  const made = await home();
  const place = { ...made, owner: { ...made.owner, api: impatient.api } };
  const mine = await armed(place, "latency", { latency_ms: 20_000, times: 5 });
  const since = Date.now();
  const answer = await createProject(place, "Slow", { traceparent: mine.traceparent });
  expectProblem(answer, 503, "deadline-exceeded");
  expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
  expect(Date.now() - since).toBeLessThan(DEADLINE_MS + 2_500);
});

test.each(["status500", "garbage", "drop", "latency"] as const)(
  "a second cache that answers with %s costs nobody an answer",
  async (kind) => {
    const place = await home();
    const fault = await redisFault({ kind, match: place.id, times: 1_000, latency_ms: 20_000 });
    const path = `/v1/workspaces/${place.id}/projects`;
    expectStatus(await call(place.owner, "GET", path), 200);
    const made = expectStatus(await createProject(place, "Uncached"), 201);
    const headers = { "x-drey-revision": String(made.headers.get("x-drey-revision")) };
    const since = Date.now();
    const list = await call<Page<Project>>(place.owner, "GET", path, undefined, headers);
    expect(expectStatus(list, 200).body.data.map((one) => one.id)).toEqual([made.body.id]);
    expect(Date.now() - since).toBeLessThan(3_000);
    expect(await fault.fired()).toBeGreaterThan(0);
  },
);

test("a slow Postgres of one tenant does not slow another down", async () => {
  const [slow, other] = [await home(), await home()];
  const mine = await armed(slow, "latency", { latency_ms: 3_000 });
  const waiting = createProject(slow, "Slow", { traceparent: mine.traceparent });
  const since = Date.now();
  expectStatus(await createProject(other, "Quick"), 201);
  expect(Date.now() - since).toBeLessThan(2_500);
  expectStatus(await waiting, 201);
});

test("a client that goes away in the middle leaves all of the effect or none", async () => {
  const place = await home();
  const mine = await armed(place, "latency", { latency_ms: 300 });
  const gone = new AbortController();
  const request = fetch(`${place.owner.api}/v1/workspaces/${place.id}/projects`, {
    method: "POST",
    signal: gone.signal,
    headers: {
      authorization: `Bearer ${place.owner.token}`,
      "content-type": "application/json",
      traceparent: mine.traceparent,
    },
    body: JSON.stringify({ name: "Gone" }),
  });
  // An answer that comes before he goes is one he does not look at.
  const ended = request.then(
    () => undefined,
    () => undefined,
  );
  await poll("the create to reach Postgres", async () => (await mine.fired()) === 1);
  gone.abort();
  await ended;
  await poll("its log line", async () => (await world().logs()).some((line) => line.includes(mine.id)));
  expect(await projects(place)).toEqual(await createdEvents(place));
  expectStatus(await createProject(place, "Next"), 201);
});

test("who went away and comes back with the same key has one thing", async () => {
  const place = await home();
  const mine = await armed(place, "latency", { latency_ms: 300 });
  const headers = { "idempotency-key": randomUUID() };
  const gone = new AbortController();
  const request = fetch(`${place.owner.api}/v1/workspaces/${place.id}/projects`, {
    method: "POST",
    signal: gone.signal,
    headers: {
      ...headers,
      authorization: `Bearer ${place.owner.token}`,
      "content-type": "application/json",
      traceparent: mine.traceparent,
    },
    body: JSON.stringify({ name: "Back" }),
  }).catch(() => undefined);
  await poll("the create to reach Postgres", async () => (await mine.fired()) === 1);
  gone.abort();
  await request;
  const answer = await poll("the retry", async () => {
    const retried = await createProject(place, "Back", headers);
    return retried.status === 201 && retried;
  });
  expect(await projects(place)).toEqual([answer.body.id]);
});

/** A fault for the next request that carries the trace; the gate is asked before, so that it is not hit itself. */
async function armed(
  place: OwnedWorkspace,
  kind: Parameters<typeof neonFault>[0]["kind"],
  fields: { latency_ms?: number; times?: number } = {},
) {
  const mine = trace();
  expectStatus(await call(place.owner, "GET", `/v1/workspaces/${place.id}`), 200);
  const fault = await neonFault({ kind, match: mine.id, ...fields });
  return { ...mine, ...fault };
}

function createProject(place: OwnedWorkspace, name: string, headers: Record<string, string> = {}) {
  return call<Project>(place.owner, "POST", `/v1/workspaces/${place.id}/projects`, { name }, headers);
}

async function listOf(place: OwnedWorkspace, path: string): Promise<string[]> {
  const list = await call<Page<{ id: string }>>(place.owner, "GET", `${path}?limit=100`);
  return expectStatus(list, 200).body.data.map((one) => one.id);
}

async function projects(place: OwnedWorkspace): Promise<string[]> {
  return listOf(place, `/v1/workspaces/${place.id}/projects`);
}

async function createdEvents(place: OwnedWorkspace): Promise<string[]> {
  const list = await call<Page<AuditEvent>>(place.owner, "GET", `/v1/workspaces/${place.id}/audit?limit=100`);
  const events = expectStatus(list, 200).body.data;
  return events.filter((event) => event.action === "project.created").map((event) => event.target.id);
}
