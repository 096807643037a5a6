/** What a gate does while Postgres is down, slow, or older than the news. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  atOnce,
  call,
  expectProblem,
  expectStatus,
  home,
  member,
  type OwnedWorkspace,
  type User,
  unique,
} from "./actors.ts";
import { type Forwarder, forwarder } from "./forwarder.ts";
import type { Project } from "./shapes.ts";
import { type OwnCell, poll, world } from "./world.ts";

/** A gate that asks Postgres at nearly every call, and vouches for what it knows for this long without it. */
const STALE_MS = 8_000;
let way: Forwarder;
let cell: OwnCell;

beforeAll(async () => {
  way = await forwarder();
  cell = await world().restart({
    NEON_HTTP_URL: way.url,
    GATE_REFRESH_MS: "50",
    GATE_STALE_MS: String(STALE_MS),
    WORKSPACE_LEASE_MS: "20",
  });
});
afterAll(async () => {
  await cell.stop();
  await way[Symbol.asyncDispose]();
});

test("while Postgres is down, kept reads go on, writes say when to come again, and then the gate no longer vouches", async () => {
  const place = await home(cell.api);
  expectStatus(await projects(place.owner, place), 200);
  way.down(true);
  try {
    const since = Date.now();
    const read = expectStatus(await projects(place.owner, place), 200);
    expect(read.headers.get("x-cache")).toBe("HIT");
    await poll("the mark of what nobody can confirm", async () =>
      /^drey; hit; ttl=-\d+; detail=memory$/.test((await status(place)) ?? ""),
    );
    const unkept = await call(place.owner, "GET", `/v1/workspaces/${place.id}/projects?limit=3`);
    expectProblem(unkept, 503, "upstream-unavailable");
    expect(Number(unkept.headers.get("retry-after"))).toBeGreaterThan(0);
    const write = await call(place.owner, "POST", `/v1/workspaces/${place.id}/projects`, { name: "Later" });
    expectProblem(write, 503, "upstream-unavailable");
    expect(Number(write.headers.get("retry-after"))).toBeGreaterThan(0);
    const end = await poll(
      "the end of its word",
      async () => {
        const answer = await projects(place.owner, place);
        return answer.status !== 200 && answer;
      },
      20_000,
    );
    expectProblem(end, 503, "gate-unavailable");
    expect(Date.now() - since).toBeGreaterThanOrEqual(STALE_MS - 200);
  } finally {
    way.down(false);
  }
  await poll("the recovery", async () => (await projects(place.owner, place)).status === 200);
  await poll("its confirmation", async () => (await status(place)) === "drey; hit; detail=memory");
});

test("while Postgres is known to be silent, nobody waits for it", async () => {
  await using patient = await world().restart({
    NEON_HTTP_URL: way.url,
    GATE_REFRESH_MS: "50",
    WORKSPACE_LEASE_MS: "20",
  });
  const place = await home(patient.api);
  expectStatus(await projects(place.owner, place), 200);
  // The gate's own question for this workspace is not answered at all, so its caller waits as long as a load may take.
  const load = way.hold("authz_epoch, workspace_role(");
  try {
    await poll("the silence", async () => (await status(place))?.includes("ttl=-"));
    const since = Date.now();
    // Who waited for the load would be answered after 1.8 seconds. Each of the later ones comes when its lease and the last attempt at Postgres are over.
    for (let round = 0; round < 8; round += 1) {
      const asked = Date.now();
      const answers = await atOnce(5, () => projects(place.owner, place));
      expect(Date.now() - asked).toBeLessThan(1_700);
      for (const answer of answers) expectStatus(answer, 200);
      await poll("the next attempt", async () => Date.now() > since + round * 60);
    }
  } finally {
    load.release();
  }
});

test("a true revision is not called impossible because Postgres is down", async () => {
  const place = await home(cell.api);
  const made = await call(place.owner, "POST", `/v1/workspaces/${place.id}/projects`, { name: "One" });
  const revision = expectStatus(made, 201).headers.get("x-drey-revision") ?? "";
  await cell.evict("WorkspaceGate", place.id);
  way.down(true);
  try {
    const answer = await call(place.owner, "GET", `/v1/workspaces/${place.id}`, undefined, {
      "x-drey-revision": revision,
    });
    expectProblem(answer, 503, "gate-unavailable");
  } finally {
    way.down(false);
  }
});

test("a revision that a Worker elsewhere wrote a moment after this gate looked is not called impossible", async () => {
  const place = await home(cell.api);
  for (let n = 0; n < 3; n += 1) {
    expectStatus(await projects(place.owner, place), 200);
    const elsewhere = { ...place.owner, api: world().api };
    const made = await call(elsewhere, "POST", `/v1/workspaces/${place.id}/projects`, {
      name: unique("One"),
    });
    const seen = { "x-drey-revision": String(expectStatus(made, 201).headers.get("x-drey-revision")) };
    const list = await call(place.owner, "GET", `/v1/workspaces/${place.id}/projects`, undefined, seen);
    expect(expectStatus(list, 200).text).toContain((made.body as unknown as Project).id);
  }
});

test("whoever goes on naming revisions that there are not is answered without Postgres", async () => {
  const place = await home(cell.api);
  expectStatus(await projects(place.owner, place), 200);
  const asked = () => way.count("authz_epoch, workspace_role(");
  const ahead = { "x-drey-revision": "1000000" };
  const since = Date.now();
  const before = asked();
  for (let n = 0; n < 20; n += 1) {
    const answer = await call(place.owner, "GET", `/v1/workspaces/${place.id}`, undefined, ahead);
    expectProblem(answer, 400, "revision-unknown");
  }
  const questions = asked() - before;
  expect(questions).toBeGreaterThan(0);
  expect(questions).toBeLessThanOrEqual(1 + Math.ceil((Date.now() - since) / 250));
});

test("a load that a removal overtakes does not let the removed in", async () => {
  const place = await home(cell.api);
  const colleague = await member(place, "viewer");
  await cell.evict("WorkspaceGate", place.id);
  // The gate's own question for this workspace: its answer is on its way while the member is removed.
  const load = way.hold("authz_epoch, workspace_role(");
  const late = call(colleague, "GET", `/v1/workspaces/${place.id}`);
  await poll("the load", async () => load.held() > 0);
  // By the organisation's gate: the workspace's is waiting for its load.
  const path = `/v1/orgs/${place.org_id}/members/${colleague.id}`;
  expectStatus(await call(place.owner, "DELETE", path), 204);
  load.release();
  expectProblem(await late, 404, "not-found");
  expectProblem(await call(colleague, "GET", `/v1/workspaces/${place.id}`), 404, "not-found");
});

test("a notice that nobody delivers costs a refresh and a lease", async () => {
  const place = await home(cell.api);
  const colleague = await member(place, "viewer");
  expectStatus(await call(colleague, "GET", `/v1/workspaces/${place.id}`), 200);
  // The other Workers have gates of their own: this cell's hears nothing.
  const elsewhere = { ...place.owner, api: world().api };
  expectStatus(await call(elsewhere, "DELETE", `/v1/workspaces/${place.id}/members/${colleague.id}`), 204);
  const isRefused = async () => (await call(colleague, "GET", `/v1/workspaces/${place.id}`)).status === 404;
  await poll("the refresh", isRefused, 50 + 20 + 1_000);
});

async function status(place: OwnedWorkspace): Promise<string | null> {
  return (await projects(place.owner, place)).headers.get("cache-status");
}

function projects(caller: User, place: OwnedWorkspace) {
  return call(caller, "GET", `/v1/workspaces/${place.id}/projects`);
}
