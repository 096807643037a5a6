/** What a key lets its holder do: its scopes, its project, its addresses, its creator's role, and limits of its own. */
import { expect, test } from "vitest";
import {
  call,
  expectProblem,
  expectStatus,
  home,
  member,
  type OwnedWorkspace,
  organisation,
  project,
  trace,
  type User,
  unique,
  user,
  workspace,
} from "./actors.ts";
import { apiKey, mistyped, program } from "./keys.ts";
import { neonCounters } from "./neighbours.ts";
import { device, mutation, push, readScope, workspaceScope } from "./pushes.ts";
import type { Page, Project, Scope } from "./shapes.ts";
import { fill, isGuarded, isOperators, rows, spec } from "./spec.ts";
import { poll, world } from "./world.ts";

const SCOPES: Scope[] = ["read", "write", "sync", "presence", "admin"];
/** The least that each scope opens, so that a document without scopes proves nothing. */
const OPENED: Record<Scope, number> = { read: 5, write: 3, sync: 2, presence: 1, admin: 5 };

test("each scope opens the rows that the document says, and no other", async () => {
  const place = await home();
  const made = await project(place);
  const document = await spec();
  const ids = {
    org: place.org_id,
    ws: place.id,
    project: made.id,
    user: place.owner.id,
    invitation: "inv_01h455vb4pex5vsknk084sn02q",
    key: "key_01h455vb4pex5vsknk084sn02q",
    divergence: "div_01h455vb4pex5vsknk084sn02q",
    session: "ses_01h455vb4pex5vsknk084sn02q",
    scope_type: "workspace",
    scope_id: place.id,
  };
  const guarded = rows(document).filter((row) => isGuarded(document, row) && !isOperators(row));
  for (const scope of SCOPES) {
    const caller = program(await apiKey(place, { scopes: [scope] }));
    const opened: string[] = [];
    for (const row of guarded) {
      // No body and a version that is none: what is let in changes nothing.
      const headers = { "if-match": '"999999"' };
      const answer = await call(caller, row.method, fill(row.path, ids), undefined, headers);
      expect([401, 429, 500], `${row.method} ${row.path}`).not.toContain(answer.status);
      const refused = answer.status === 403 && answer.body?.code === "insufficient-scope";
      if (!refused) opened.push(`${row.method} ${row.path}`);
    }
    const said = guarded.filter((row) => row.operation["x-policy"]?.key?.scope === scope);
    expect(opened, scope).toEqual(said.map((row) => `${row.method} ${row.path}`));
    expect(opened.length, scope).toBeGreaterThanOrEqual(OPENED[scope]);
  }
});

test("a key that lacks a scope is told which", async () => {
  const place = await home();
  const caller = program(await apiKey(place, { scopes: ["read"] }));
  const answer = await call(caller, "POST", `/v1/workspaces/${place.id}/projects`, { name: "No" });
  expectProblem(answer, 403, "insufficient-scope");
  expect(answer.headers.get("www-authenticate")).toBe(
    'Bearer realm="drey", error="insufficient_scope", scope="write"',
  );
});

test("a key is taken as bearer token and as x-api-key, not as both and never from the query", async () => {
  const place = await home();
  const held = await apiKey(place);
  const path = `/v1/workspaces/${place.id}`;
  for (const headers of [
    { authorization: `Bearer ${held.key}` },
    { authorization: `bearer ${held.key}` },
    { "x-api-key": held.key },
  ]) {
    const answer = expectStatus(await call(null, "GET", path, undefined, headers), 200);
    expect(answer.headers.get("x-actor-id")).toBe(place.owner.id);
  }
  const both = { authorization: `Bearer ${held.key}`, "x-api-key": held.key };
  expectProblem(await call(null, "GET", path, undefined, both), 401, "unauthenticated");
  for (const name of ["api_key", "x-api-key", "key", "access_token"]) {
    expectProblem(await call(null, "GET", `${path}?${name}=${held.key}`), 401, "unauthenticated");
  }
  const token = { "x-api-key": place.owner.token };
  expectProblem(await call(null, "GET", path, undefined, token), 401, "invalid-token");
});

test("a mistyped key is refused without a look-up, a known one reads a copy without a query", async () => {
  const place = await home();
  const { key } = await apiKey(place);
  const path = `/v1/workspaces/${place.id}/projects`;
  for (const at of [0, 6, 20, 40, 60, key.length - 1]) {
    const { id, traceparent } = trace();
    const answer = await call(program({ key: mistyped(key, at) }), "GET", path, undefined, { traceparent });
    expectProblem(answer, 401, "invalid-token");
    expect((await neonCounters(id)).requests).toBe(0);
    expect(answer.text).not.toContain(key.slice(-30));
  }
  await poll("a copy that costs nothing", async () => {
    const { id, traceparent } = trace();
    const answer = expectStatus(await call(program({ key }), "GET", path, undefined, { traceparent }), 200);
    return answer.headers.get("x-cache") === "HIT" && (await neonCounters(id)).requests === 0;
  });
});

test("a key is never in the log", async () => {
  await using cell = await world().restart({ LOG_FORMAT: "json" });
  const place = await home(cell.api);
  const held = await apiKey(place);
  const good = expectStatus(await read(program(held, cell.api), place), 200);
  const bad = await read(program({ key: mistyped(held.key, 50) }, cell.api), place);
  const lines = await poll("both log lines", async () => {
    const lines = await cell.logs();
    const has = (answer: { headers: Headers }) =>
      lines.some((line) => line.includes(String(answer.headers.get("x-request-id"))));
    return has(good) && has(bad) && lines;
  });
  expect(lines.filter((line) => line.includes(held.key.slice(-30)))).toEqual([]);
  expect(lines.some((line) => line.includes(`"api_key":"${held.id}"`))).toBe(true);
});

test("a key belongs to one workspace, whatever its creator may enter", async () => {
  const org = await organisation(await user());
  const [place, sibling] = [await workspace(org), await workspace(org)];
  const caller = program(await apiKey(place, { scopes: SCOPES }));
  expectStatus(await read(caller, place), 200);
  expectProblem(await read(caller, sibling), 404, "not-found");
  expectProblem(await read(caller, await home()), 404, "not-found");
  expectProblem(await call(caller, "GET", `/v1/orgs/${org.id}`), 403, "insufficient-scope");
  expectProblem(await call(caller, "GET", "/v1/me"), 403, "insufficient-scope");
});

test("a key from an address that is not on its list is refused", async () => {
  const place = await home();
  const held = await apiKey(place, { allowed_addresses: ["203.0.113.0/24", "2001:db8::/32"] });
  // What the platform sets in front of a Worker, the test sets in front of workerd.
  const from = (headers: Record<string, string>) =>
    call(program(held), "GET", `/v1/workspaces/${place.id}`, undefined, headers);
  for (const address of ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::1"]) {
    expectStatus(await from({ "cf-connecting-ip": address }), 200);
  }
  for (const address of ["203.0.112.7", "2001:db9::1", "::"]) {
    expectProblem(await from({ "cf-connecting-ip": address }), 403, "address-not-allowed");
  }
  const claims = { "x-forwarded-for": "203.0.113.7", "x-real-ip": "203.0.113.7" };
  expectProblem(await from(claims), 403, "address-not-allowed");
});

test("a key may do no more than its creator may now", async () => {
  const place = await home();
  const creator = await member(place, "admin");
  const held = await apiKey(place, { scopes: ["read", "write", "admin"] }, creator);
  const path = `/v1/workspaces/${place.id}/projects`;
  expectStatus(await call(program(held), "POST", path, { name: "Before" }), 201);
  const membership = `/v1/workspaces/${place.id}/members/${creator.id}`;
  expectStatus(await call(place.owner, "PUT", membership, { role: "viewer" }), 200);
  for (const api of world().apis) {
    expectProblem(await call(program(held, api), "POST", path, { name: "After" }), 403, "forbidden");
  }
  expectStatus(await read(program(held), place), 200);
});

test("a key ends with its creator's membership, and does not come back with him", async () => {
  const place = await home();
  const creator = await member(place, "admin");
  const held = await apiKey(place, {}, creator);
  expectStatus(await read(program(held), place), 200);
  const membership = `/v1/workspaces/${place.id}/members/${creator.id}`;
  expectStatus(await call(place.owner, "DELETE", membership), 204);
  expectProblem(await read(program(held), place), 401, "invalid-token");
  expectStatus(await call(place.owner, "PUT", membership, { role: "admin" }), 200);
  expectStatus(await read({ ...creator }, place), 200);
  for (const api of world().apis) expectProblem(await read(program(held, api), place), 401, "invalid-token");
});

test("a key that is restricted to a project sees nothing of any other", async () => {
  const place = await home();
  const [own, other] = [await project(place), await project(place)];
  const scopes = ["read", "write", "sync", "presence", "admin"];
  const caller = program(await apiKey(place, { scopes, project_id: own.id }));
  const path = `/v1/workspaces/${place.id}/projects`;
  const all = expectStatus(await call<Page<Project>>(place.owner, "GET", path), 200);
  for (const api of world().apis) {
    const list = expectStatus(await call<Page<Project>>({ ...caller, api }, "GET", path), 200);
    expect(list.body.data.map((one) => one.id)).toEqual([own.id]);
  }
  expect((await call<Page<Project>>(place.owner, "GET", path)).body).toEqual(all.body);
  expectStatus(await call(caller, "GET", `${path}/${own.id}`), 200);
  expectProblem(await call(caller, "GET", `${path}/${other.id}`), 404, "not-found");
  expectProblem(await call(caller, "PATCH", `${path}/${other.id}`, { name: "Mine" }), 404, "not-found");
  expectProblem(await call(caller, "DELETE", `${path}/${other.id}`), 404, "not-found");
  expectProblem(await call(caller, "POST", path, { name: "More" }), 403, "insufficient-scope");
  expectProblem(await read(caller, place), 403, "insufficient-scope");
});

test("a restricted key syncs its project and no other scope", async () => {
  const place = await home();
  const [own, other] = [await project(place), await project(place)];
  const caller = program(await apiKey(place, { scopes: ["sync"], project_id: own.id }));
  const owner = device(place.owner, place);
  const foreign = [workspaceScope(place), { type: "project", id: other.id }];
  const ours = { type: "project", id: own.id };
  const written = await push(
    owner,
    [...foreign, ours].map((scope) => mutation(owner, scope)),
  );
  expectStatus(written, 200);
  const robot = device(caller, place);
  const pushed = await push(
    robot,
    [...foreign, ours].map((scope) => mutation(robot, scope)),
  );
  expect(expectStatus(pushed, 200).body.results.map((result) => result.code ?? result.outcome)).toEqual([
    "unknown-scope",
    "unknown-scope",
    "applied",
  ]);
  expect(expectStatus(await readScope(caller, place, ours), 200).body).toHaveLength(2);
  for (const scope of foreign) expectProblem(await readScope(caller, place, scope), 404, "not-found");
});

test("a key has limits of its own: neither its creator's nor another key's", async () => {
  const standard = { base: 4, window_ms: 60_000, burst: 4, block_ms: 0 };
  const limits = { anonymous: { base: 100_000 }, standard };
  await using cell = await world().restart({ LIMITS: JSON.stringify(limits) });
  const place = await home(cell.api);
  const [one, other] = [await apiKey(place, { scopes: ["sync"] }), await apiKey(place, { scopes: ["sync"] })];
  for (const caller of [place.owner, program(one, cell.api), program(other, cell.api)]) {
    const statuses: number[] = [];
    for (let n = 0; n < 6; n += 1) statuses.push((await emptyPush(caller, place)).status);
    expect(statuses.slice(0, 4)).toEqual([200, 200, 200, 200]);
    expect(statuses).toContain(429);
  }
});

function read(caller: User, place: { id: string }) {
  return call(caller, "GET", `/v1/workspaces/${place.id}`);
}

function emptyPush(caller: User, place: OwnedWorkspace) {
  const body = { client_id: unique("client"), mutations: [] };
  return call(caller, "POST", `/v1/workspaces/${place.id}/sync/push`, body);
}
