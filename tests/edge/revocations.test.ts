/** What was asked before a removal and answered after it opens nothing; and a removal nobody tells of is seen in time. */
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
  orgMember,
  type User,
} from "./actors.ts";
import { removeUntold } from "./database.ts";
import { type Forwarder, forwarder } from "./forwarder.ts";
import { apiKey, keysPath, program } from "./keys.ts";
import { type OwnCell, poll, world } from "./world.ts";

const WORKSPACE_LOAD = "authz_epoch, workspace_role(";
const ORG_LOAD = "authz_epoch, org_role(";
const KEY_LOOK_UP = "from api_key_find(";
/** A gate's refresh and a lease: five seconds by default, less here. */
const REFRESH_MS = 1_000;
const LEASE_MS = 300;
/** What loads take on a busy machine. */
const SLACK_MS = 1_000;
const BOUND_MS = REFRESH_MS + LEASE_MS + SLACK_MS;
let way: Forwarder;
let cell: OwnCell;
let quick: OwnCell;

beforeAll(async () => {
  way = await forwarder();
  const leases = { NEON_HTTP_URL: way.url, WORKSPACE_LEASE_MS: "20" };
  cell = await world().restart({ ...leases, GATE_REFRESH_MS: "60000" });
  const refresh = { GATE_REFRESH_MS: String(REFRESH_MS), WORKSPACE_LEASE_MS: String(LEASE_MS) };
  quick = await world().restart(refresh, { isolates: 3 });
});
afterAll(async () => {
  await cell.stop();
  await quick.stop();
  await way[Symbol.asyncDispose]();
});

test("a workspace's load that the removal of a member overtakes lets nobody in", async () => {
  const place = await home(cell.api);
  const colleague = await member(place, "viewer");
  const late = await overtaken(place, WORKSPACE_LOAD, colleague, () =>
    call(place.owner, "DELETE", `/v1/workspaces/${place.id}/members/${colleague.id}`),
  );
  expectProblem(late, 404, "not-found");
  expectProblem(await read(colleague, place), 404, "not-found");
});

test("a workspace's load that a removal from the whole organisation overtakes lets nobody in", async () => {
  const place = await home(cell.api);
  const colleague = await member(place, "viewer");
  const late = await overtaken(place, WORKSPACE_LOAD, colleague, () =>
    call(place.owner, "DELETE", `/v1/orgs/${place.org_id}/members/${colleague.id}`),
  );
  expectProblem(late, 404, "not-found");
  expectProblem(await read(colleague, place), 404, "not-found");
});

test("an organisation's load that a removal overtakes lets nobody in", async () => {
  const place = await home(cell.api);
  const colleague = await orgMember({ id: place.org_id, owner: place.owner }, "member");
  const path = `/v1/orgs/${place.org_id}`;
  await cell.evict("WorkspaceGate", `org:${place.org_id}`);
  expectStatus(await call(place.owner, "GET", path), 200);
  const load = way.hold(ORG_LOAD);
  const late = call(colleague, "GET", path);
  await poll("the load", async () => load.held() > 0);
  expectStatus(await call(place.owner, "DELETE", `${path}/members/${colleague.id}`), 204);
  load.release();
  expectProblem(await late, 404, "not-found");
  expectProblem(await call(colleague, "GET", path), 404, "not-found");
});

test("neither a key's look-up nor its creator's load from before the revocation lets it in", async () => {
  const place = await home(cell.api);
  const creator = await member(place, "admin");
  for (const held of [KEY_LOOK_UP, WORKSPACE_LOAD]) {
    const key = await apiKey(place, {}, creator);
    const late = await overtaken(place, held, program(key, cell.api), () =>
      call(place.owner, "DELETE", keysPath(place, key.id)),
    );
    expectProblem(late, 401, "invalid-token");
    expectProblem(await read(program(key, cell.api), place), 401, "invalid-token");
  }
  expectStatus(await read(creator, place), 200);
});

test("a removal that no gate was told of is seen by every isolate within a refresh and a lease, by a write at once", async () => {
  const place = await home(quick.api);
  const colleague = await member(place, "editor");
  const everywhere = quick.apis.map((api) => ({ ...colleague, api }));
  for (const caller of everywhere) expectStatus(await read(caller, place), 200);
  await removeUntold(place, colleague);
  const since = Date.now();
  const writes = await Promise.all(everywhere.map((caller) => write(caller, place)));
  for (const answer of writes) expect([403, 404], answer.text).toContain(answer.status);
  await Promise.all(everywhere.map((caller) => untilRefused(caller, place, 404, since + BOUND_MS)));
  for (const caller of everywhere) expectProblem(await read(caller, place), 404, "not-found");
});

test("a revocation that no gate was told of is seen by every isolate within a refresh and a lease, by a write at once", async () => {
  const place = await home(quick.api);
  const key = await apiKey(place, { scopes: ["read", "write"] });
  const everywhere = quick.apis.map((api) => program(key, api));
  for (const caller of everywhere) expectStatus(await read(caller, place), 200);
  // The other Workers have gates of their own: this cell's hears nothing.
  const elsewhere = { ...place.owner, api: world().api };
  expectStatus(await call(elsewhere, "DELETE", keysPath(place, key.id)), 204);
  const since = Date.now();
  for (const answer of await Promise.all(everywhere.map((caller) => write(caller, place))))
    expectProblem(answer, 401, "invalid-token");
  await Promise.all(everywhere.map((caller) => untilRefused(caller, place, 401, since + BOUND_MS)));
  for (const caller of everywhere) expectProblem(await read(caller, place), 401, "invalid-token");
});

test("many readers at once while their member is removed: after the bound nobody is let in again", async () => {
  const place = await home(quick.api);
  const colleague = await member(place, "viewer");
  const everywhere = quick.apis.map((api) => ({ ...colleague, api }));
  let removed = Number.POSITIVE_INFINITY;
  const late: number[] = [];
  const storm = atOnce(12, (index) =>
    inTurn(25, async () => {
      const began = Date.now();
      const answer = await read(everywhere[index % 3] ?? colleague, place);
      if (began > removed + LEASE_MS) late.push(answer.status);
      else expect([200, 404, 429]).toContain(answer.status);
    }),
  );
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/members/${colleague.id}`), 204);
  removed = Date.now();
  await storm;
  await poll("the end of the lease", async () => Date.now() > removed + LEASE_MS);
  for (const caller of everywhere) late.push((await read(caller, place)).status);
  expect([...new Set(late)].filter((status) => status !== 429)).toEqual([404]);
});

/** The answer to a read whose load began before `remove` and is answered after it. */
async function overtaken(
  place: OwnedWorkspace,
  held: string,
  caller: User,
  remove: () => Promise<Answer<unknown>>,
): Promise<Answer<unknown>> {
  await cell.evict("WorkspaceGate", place.id);
  // The owner is known to the new gate, so that his removal need not wait for what is held back.
  expectStatus(await read(place.owner, place), 200);
  const load = way.hold(held);
  const late = read(caller, place);
  await poll(`the load: ${held}`, async () => load.held() > 0);
  try {
    expectStatus(await remove(), 204);
  } finally {
    load.release();
  }
  return late;
}

/** Who asks after `endMs` is refused. */
async function untilRefused(
  caller: User,
  place: OwnedWorkspace,
  status: number,
  endMs: number,
): Promise<void> {
  await poll(`${status}`, async () => (await read(caller, place)).status === status, endMs - Date.now());
}

function read(caller: User, place: OwnedWorkspace) {
  return call(caller, "GET", `/v1/workspaces/${place.id}`);
}

function write(caller: User, place: OwnedWorkspace) {
  return call(caller, "POST", `/v1/workspaces/${place.id}/projects`, { name: "After" });
}
