/** No tenant sees, changes or notices another: every route of the document, and every id that a client may choose. */
import { randomUUID } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import {
  call,
  expectProblem,
  expectStatus,
  home,
  invite,
  member,
  type OwnedWorkspace,
  project,
  type User,
  unique,
  workspace,
} from "./actors.ts";
import { apiKey } from "./keys.ts";
import {
  catchUp,
  device,
  diverge,
  mutation,
  openSession,
  push,
  readScope,
  workspaceScope,
} from "./pushes.ts";
import type { Page, Project } from "./shapes.ts";
import { fill, isGuarded, isOperators, type Row, rows, type Spec, spec } from "./spec.ts";
import { world } from "./world.ts";

/** What the least of members may do besides reading; every other writing row must be 403 to him. */
const OPEN_TO_THE_LEAST = [
  "POST /v1/orgs/{org}/workspaces",
  "POST /v1/workspaces/{ws}/presence",
  "POST /v1/workspaces/{ws}/presence/tickets",
  "POST /v1/workspaces/{ws}/sync/sessions",
];
/** What the least of members may not even read. */
const CLOSED_TO_THE_LEAST = [
  "GET /v1/orgs/{org}/invitations",
  "GET /v1/orgs/{org}/invitations/{invitation}",
  "GET /v1/workspaces/{ws}/audit",
  "GET /v1/workspaces/{ws}/api-keys",
  "GET /v1/workspaces/{ws}/sync/sessions",
];

interface Tenant {
  place: OwnedWorkspace;
  viewer: User;
  ids: Record<string, string>;
}

let document: Spec;
let victim: Tenant;

beforeAll(async () => {
  document = await spec();
  victim = await tenant();
});

test("every route under a tenant is 404 to another tenant, with any of his ids", async () => {
  const foreign = await tenant();
  const wrong = await misbehaving(tenantRows(), async (row) => {
    const answer = await attempt(foreign.place.owner, row, victim.ids);
    return [answer.status, answer.body?.code].join() === "404,not-found";
  });
  expect(wrong).toEqual([]);
});

test("an id of another tenant is 404 under one's own tenant", async () => {
  const foreign = await tenant();
  const inner = tenantRows().filter((row) =>
    /\{(user|invitation|project|key|scope_id|divergence|session)\}/.test(row.path),
  );
  const wrong = await misbehaving(inner, async (row) => {
    const { org, ws, ...things } = foreign.ids;
    const ids = { ...victim.ids, org: String(org), ws: String(ws) };
    const answer = await attempt(foreign.place.owner, row, { ...things, ...ids, scope_type: "workspace" });
    // Adding a stranger to one's own workspace is refused in words that hold for any stranger.
    return answer.status === 404 || answer.body?.code === "not-an-org-member";
  });
  expect(wrong).toEqual([]);
});

test("every guarded route is 401 without a credential", async () => {
  // Callers without a credential share one address and its limit: these many get a cell of their own.
  await using open = await world().restart({ LIMITS: JSON.stringify({ anonymous: { base: 10_000 } }) });
  const guarded = rows(document).filter((row) => isGuarded(document, row));
  const wrong = await misbehaving(guarded, async (row) => {
    const url = `${open.api}${fill(row.path, victim.ids)}`;
    const answer = await call(null, row.method, url, bodyOf(row));
    return answer.status === 401 && answer.headers.get("www-authenticate") !== null;
  });
  expect(wrong).toEqual([]);
});

test("the least of members reads what is open and is 403 on all the rest", async () => {
  const wrong = await misbehaving(tenantRows(), async (row) => {
    if (isOpenToTheLeast(row)) return true;
    const answer = await attempt(victim.viewer, row, { ...victim.ids, user: victim.place.owner.id });
    return [answer.status, answer.body?.code].join() === "403,forbidden";
  });
  expect(wrong).toEqual([]);
});

test("after all those attempts the tenant is what it was", async () => {
  const { place, ids } = victim;
  expect((await call<OwnedWorkspace>(place.owner, "GET", `/v1/workspaces/${place.id}`)).body.version).toBe(1);
  const projects = await call<Page<Project>>(place.owner, "GET", `/v1/workspaces/${place.id}/projects`);
  expect(projects.body.data.map((one) => one.id)).toEqual([ids.project]);
  const members = await call<Page<{ user_id: string }>>(
    place.owner,
    "GET",
    `/v1/workspaces/${place.id}/members`,
  );
  expect(members.body.data.map((one) => one.user_id)).toEqual([victim.viewer.id, place.owner.id]);
});

test("another tenant's client, entity and idempotency ids are free, and the other notices nothing", async () => {
  const [mine, theirs] = [await home(), await home()];
  const shared = {
    client: unique("client"),
    entity: { type: "request", id: unique("entity") },
    key: randomUUID(),
  };
  const pushed: Record<string, string> = {};
  for (const place of [theirs, mine]) {
    const one = device(place.owner, place, shared.client);
    const value = { owner: place.owner.id };
    expectStatus(
      await push(one, [mutation(one, workspaceScope(place), { entity: shared.entity, value })]),
      200,
    );
    const body = { name: "Shared key" };
    const headers = { "idempotency-key": shared.key };
    const path = `/v1/workspaces/${place.id}/projects`;
    const made = expectStatus(await call<Project>(place.owner, "POST", path, body, headers), 201);
    expect(made.headers.get("idempotent-replayed")).toBeNull();
    pushed[place.id] = made.body.id;
  }
  expect(new Set(Object.values(pushed)).size).toBe(2);
  for (const place of [theirs, mine]) {
    const messages = await catchUp(place.owner, place, workspaceScope(place));
    expect(messages.map((message) => [message.headers.version, message.value])).toEqual([
      [1, { owner: place.owner.id }],
    ]);
  }
});

test("one user in two tenants: the same client id and key stay apart there too", async () => {
  const first = await home();
  const org = { id: first.org_id, owner: first.owner };
  const second = await workspace(org);
  const clientId = unique("client");
  for (const place of [first, second]) {
    const one = device(first.owner, place, clientId);
    const answer = expectStatus(await push(one, [mutation(one, workspaceScope(place))]), 200);
    expect(answer.body.last_mutation_id).toBe(1);
  }
});

test("another tenant's scope cannot be written or read through one's own workspace", async () => {
  const mine = await home();
  const one = device(mine.owner, mine);
  const scopes = [workspaceScope(victim.place), { type: "project", id: String(victim.ids.project) }];
  for (const scope of scopes) {
    const answer = await push(one, [mutation(one, scope, { id: 1, clock: { [one.clientId]: 1 } })]);
    const applied =
      answer.status === 200 && answer.body.results.some((result) => result.outcome === "applied");
    expect(applied, answer.text).toBe(false);
    expectProblem(await readScope(mine.owner, mine, scope), 404, "not-found");
  }
  expect(await catchUp(victim.place.owner, victim.place, workspaceScope(victim.place))).toEqual([]);
});

test("the answers to a foreign and to a non-existent thing differ in nothing but their ids", async () => {
  const foreign = await home();
  const { request_id: _a, ...real } = expectProblem(
    await call(foreign.owner, "GET", `/v1/workspaces/${victim.place.id}`),
    404,
    "not-found",
  );
  const gone = victim.place.id.replace(/.{6}$/, "000000");
  const { request_id: _b, ...none } = expectProblem(
    await call(foreign.owner, "GET", `/v1/workspaces/${gone}`),
    404,
    "not-found",
  );
  expect(real).toEqual(none);
});

function tenantRows(): Row[] {
  return rows(document).filter((row) => /\{(org|ws)\}/.test(row.path) && !isOperators(row));
}

function isOpenToTheLeast(row: Row): boolean {
  const name = `${row.method} ${row.path}`;
  if (row.method === "GET") return !CLOSED_TO_THE_LEAST.includes(name);
  return OPEN_TO_THE_LEAST.includes(name);
}

async function misbehaving(all: Row[], isFine: (row: Row) => Promise<boolean>): Promise<string[]> {
  expect(all.length).toBeGreaterThan(5);
  const names: string[] = [];
  for (const row of all) if (!(await isFine(row))) names.push(`${row.method} ${row.path}`);
  return names;
}

function attempt(caller: User, row: Row, ids: Record<string, string>) {
  return call(caller, row.method, fill(row.path, ids), bodyOf(row));
}

/** A body that the row would accept, so that nothing but the caller is wrong. */
function bodyOf(row: Row): unknown {
  if (!row.operation.requestBody) return undefined;
  if (row.path.endsWith("/sync/push")) return { client_id: "client", mutations: [] };
  if (row.path.endsWith("/accept")) return { token: "x".repeat(43) };
  if (row.path.endsWith("/plan")) return { plan: "team" };
  if (row.path.endsWith("/api-keys")) return { name: "Intruder", scopes: ["read"] };
  if (row.path.endsWith("/resolve")) return { take: "mine" };
  if (row.path.endsWith("/sessions")) return { client_id: "client", client_name: "Intruder" };
  if (row.path.endsWith("/rotate")) return { overlap_seconds: 0 };
  if (row.path.endsWith("/invitations")) return { email: "a@example.test", role: "member" };
  if (row.path.includes("/members/")) return { role: row.path.includes("/orgs/") ? "member" : "viewer" };
  return { name: "Intruder" };
}

async function tenant(): Promise<Tenant> {
  const place = await home(world().api);
  const made = await project(place);
  const viewer = await member(place, "viewer");
  const invitation = await invite({ id: place.org_id, owner: place.owner }, {});
  const ids = {
    org: place.org_id,
    ws: place.id,
    user: viewer.id,
    project: made.id,
    invitation: invitation.id,
    key: (await apiKey(place)).id,
    divergence: (await diverge(place, place.owner, place.owner, { type: "project", id: made.id })).id,
    session: (await openSession(device(place.owner, place))).body.id,
    scope_type: "workspace",
    scope_id: place.id,
  };
  return { place, viewer, ids };
}
