/** What Neon is asked, how often and where: writes in one round trip, gates by themselves, reads that may lag. */
import { expect, test } from "vitest";
import {
  call,
  expectStatus,
  home,
  invite,
  organisation,
  orgMember,
  trace,
  type User,
  user,
  workspace,
} from "./actors.ts";
import { uuidOf } from "./database.ts";
import { forwarder } from "./forwarder.ts";
import { neonCounters } from "./neighbours.ts";
import type { AuditEvent, Org, Page } from "./shapes.ts";
import { freshDatabase, poll, world } from "./world.ts";

/** Between two questions of a gate to Postgres. */
const REST_MS = 1_500;

test("changes of an organisation's people, and its end, are one round trip each", async () => {
  const org = await organisation(await user());
  await workspace(org);
  const joined = await orgMember(org, "member");
  const path = `/v1/orgs/${org.id}`;
  const writes: [string, string, unknown, number][] = [
    ["PUT", `${path}/members/${joined.id}`, { role: "admin" }, 200],
    ["PUT", `${path}/members/${joined.id}`, { role: "member" }, 200],
    ["DELETE", `${path}/members/${joined.id}`, undefined, 204],
    ["DELETE", path, undefined, 204],
  ];
  for (const [method, target, body, status] of writes) {
    expectStatus(await call(org.owner, "GET", path), 200);
    const mine = trace();
    const answer = await call(org.owner, method, target, body, { traceparent: mine.traceparent });
    expectStatus(answer, status);
    expect([method, target, (await neonCounters(mine.id)).requests]).toEqual([method, target, 1]);
  }
});

test("a raised or lowered role reaches the workspaces before it is answered", async () => {
  const place = await home();
  const org = { id: place.org_id, owner: place.owner };
  const joined = await orgMember(org, "member");
  const read = () => call(joined, "GET", `/v1/workspaces/${place.id}`);
  const change = async (role: string) => {
    const answer = await call(place.owner, "PUT", `/v1/orgs/${org.id}/members/${joined.id}`, { role });
    return { "x-drey-revision": String(expectStatus(answer, 200).headers.get("x-drey-revision")) };
  };
  await change("admin");
  expectStatus(await read(), 200);
  await change("member");
  expectStatus(await call(joined, "PATCH", `/v1/workspaces/${place.id}`, { name: "No" }), 404);
});

test("after a new workspace the organisation's gate rests as before", async () => {
  await using neon = await forwarder();
  await using cell = await world().restart(
    { NEON_HTTP_URL: neon.url, GATE_REFRESH_MS: String(REST_MS) },
    { isolates: 3 },
  );
  const [first = "", second = "", third = ""] = cell.apis;
  const owner = await user(first);
  const org = await organisation(owner);
  const path = `/v1/orgs/${org.id}`;
  const read = (api: string) => call<Org>({ ...owner, api }, "GET", path);
  const loads = () => neon.count("o.authz_epoch, org_role($1::uuid) as role", uuidOf(org.id));
  expectStatus(await read(second), 200);
  await workspace(org);
  // What the gate knew has aged: somebody's call makes it ask, and the next one, of another isolate, does not. Of who comes
  // while it asks, or later than it rests, nothing follows.
  await poll("a call within the gate's rest", async () => {
    const before = loads();
    let since = 0;
    await poll("the gate to ask again", async () => {
      since = performance.now();
      expectStatus(await read(first), 200);
      return loads() > before;
    });
    expectStatus(await read(second), 200);
    const asked = loads();
    expectStatus(await read(third), 200);
    const inTime = performance.now() - since < REST_MS;
    if (inTime) expect(loads()).toBe(asked);
    return inTime;
  });
});

test("a new member's first calls are not answered with what was true before", async () => {
  const place = await home();
  const org = { id: place.org_id, owner: place.owner };
  for (let round = 0; round < 4; round += 1) {
    const { token } = await invite(org, { workspace_id: place.id, workspace_role: "viewer" });
    const guest = await user();
    const paths = [`/v1/orgs/${org.id}`, `/v1/workspaces/${place.id}`];
    for (const path of paths) expectStatus(await call(guest, "GET", path), 404);
    expectStatus(await call(guest, "POST", "/v1/invitations/accept", { token }), 200);
    for (const path of paths) expectStatus(await call(guest, "GET", path), 200);
  }
});

test("lists that may lag are read from the replica, unless the caller has seen a revision", async () => {
  await using replica = await forwarder();
  const { neonConnection } = world();
  await using cell = await world().restart({
    NEON_REPLICA_CONNECTION_STRING: neonConnection,
    NEON_REPLICA_HTTP_URL: replica.url,
  });
  const place = await home(cell.api);
  const reads = (one: User, path: string, headers = {}) => call(one, "GET", path, undefined, headers);
  const orgs = await reads(place.owner, "/v1/orgs");
  expect((orgs.body as unknown as Page<Org>).data.map((one) => one.id)).toEqual([place.org_id]);
  expect(replica.count("from org_member m join org o")).toBe(1);
  const audit = `/v1/workspaces/${place.id}/audit`;
  for (let round = 1; round <= 3; round += 1) {
    const events = await reads(place.owner, audit);
    expect((events.body as unknown as Page<AuditEvent>).data.length).toBeGreaterThan(0);
    // A copy of what may lag would be filed under a revision that it has not reached.
    expect([events.headers.get("x-cache"), replica.count("audit_event")]).toEqual(["MISS", round]);
  }
  const seen = { "x-drey-revision": "1" };
  expectStatus(await reads(place.owner, audit, seen), 200);
  expectStatus(await reads(place.owner, "/v1/orgs", seen), 200);
  expect([replica.count("audit_event"), replica.count("from org_member m join org o")]).toEqual([3, 1]);
  expectStatus(await reads(place.owner, `/v1/workspaces/${place.id}/projects`), 200);
  expect(replica.count("from project")).toBe(0);
});

test("a replica that has not heard of a workspace yet does not hide it from who was let in", async () => {
  await using behind = await freshDatabase();
  const { neonConnection, neonUrl } = world();
  const connection = new URL(neonConnection);
  connection.pathname = new URL(behind.url).pathname;
  await using cell = await world().restart({
    NEON_REPLICA_CONNECTION_STRING: connection.href,
    NEON_REPLICA_HTTP_URL: neonUrl,
  });
  const place = await home(cell.api);
  const events = await call<Page<AuditEvent>>(place.owner, "GET", `/v1/workspaces/${place.id}/audit`);
  expect(expectStatus(events, 200).body.data.length).toBeGreaterThan(0);
  const orgs = async (headers = {}) => {
    const list = await call<Page<Org>>(place.owner, "GET", "/v1/orgs", undefined, headers);
    return expectStatus(list, 200).body.data.length;
  };
  expect([await orgs(), await orgs({ "x-drey-revision": "1" })]).toEqual([0, 1]);
});
