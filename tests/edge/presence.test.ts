/** `/v1/workspaces/{ws}/presence`: who is here, what each shows, and how a seat ends. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, member, user } from "./actors.ts";
import { isLeaveOf, refusedUpgrade, sit, snapshot, until, untilClosed } from "./rooms.ts";
import { type OwnCell, poll, world } from "./world.ts";

const ORIGIN = "https://app.example.test";
let brisk: OwnCell;

beforeAll(async () => {
  brisk = await world().restart({ PRESENCE_ALARM_MS: "100", PRESENCE_TTL_MS: "6000", CORS_ORIGINS: ORIGIN });
});
afterAll(() => brisk.stop());

test("both see each other: hello, patch, whole states, leave", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const ada = await sit(place.owner, place);
  expect(ada.frames[0]).toEqual({
    kind: "hello",
    v: 1,
    client_id: ada.clientId,
    peers: [],
    limits: { state_bytes: 4096, frames_per_s: 50, tick_ms: 33 },
    more: false,
  });
  ada.update(1, { at: "request-1", cursor: 4 });
  await poll("the snapshot", async () => (await snapshot(place.owner, place)).body.data.length === 1);
  const bob = await sit(viewer, place);
  const adaView = {
    client_id: ada.clientId,
    user_id: place.owner.id,
    name: place.owner.name,
    at: [],
    state: { at: "request-1", cursor: 4 },
    clock: 1,
    seen_at: expect.stringMatching(/^\d{4}-.*Z$/),
  };
  expect(bob.frames[0]).toMatchObject({ kind: "hello", peers: [adaView], more: false });
  bob.update(1, { at: "request-2" });
  const patch = await until(ada, "bob's patch", (frame) => frame.kind === "patch");
  expect(patch.peers).toMatchObject([
    { client_id: bob.clientId, user_id: viewer.id, state: { at: "request-2" } },
  ]);
  const both = expectStatus(await snapshot(viewer, place), 200);
  expect(both.body.data.map((peer) => peer.user_id).sort()).toEqual([place.owner.id, viewer.id].sort());
  expect(both.headers.get("cache-control")).toBe("private, no-cache");
  ada.close();
  const leave = await until(bob, "ada's leave", (frame) => frame.kind === "leave");
  expect(leave).toEqual({ kind: "leave", peers: [{ client_id: ada.clientId, clock: 1 }] });
  bob.close();
  await poll("the empty room", async () => (await snapshot(viewer, place)).body.data.length === 0);
});

test("an update replaces the whole state, an older clock changes nothing, null leaves", async () => {
  const place = await home();
  const [ada, bob] = [await sit(place.owner, place), await sit(place.owner, place)];
  ada.update(5, { a: 1, b: 2 });
  await until(bob, "the first state", (frame) => frame.peers?.[0]?.clock === 5);
  ada.update(4, { old: true });
  ada.update(6, { a: 3 });
  await until(bob, "the second state", (frame) => frame.peers?.[0]?.clock === 6);
  ada.update(7, null);
  await until(bob, "the leave", (frame) => frame.kind === "leave");
  const shown = bob.frames.filter((frame) => frame.kind === "patch").flatMap((frame) => frame.peers ?? []);
  expect(shown.map((peer) => [peer.clock, peer.state])).toEqual([
    [5, { a: 1, b: 2 }],
    [6, { a: 3 }],
  ]);
  expect((await snapshot(place.owner, place)).body.data).toEqual([]);
  expect(ada.end).toBeUndefined();
});

test("the room outlives the eviction of its object", async () => {
  const place = await home();
  const [ada, bob] = [await sit(place.owner, place), await sit(place.owner, place)];
  ada.update(1, { before: true });
  await until(bob, "the patch before", (frame) => frame.kind === "patch");
  await world().evict("WorkspacePresence", place.id);
  expect((await snapshot(place.owner, place)).body.data).toMatchObject([
    { client_id: ada.clientId, clock: 1 },
  ]);
  ada.update(2, { after: true });
  const patch = await until(bob, "the patch after", (frame) => frame.peers?.[0]?.clock === 2);
  expect(patch.peers).toMatchObject([{ state: { after: true } }]);
});

test("who is removed is closed with 4403 and stays out", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const [watching, removed] = [await sit(place.owner, place), await sit(viewer, place)];
  removed.update(1, { here: true });
  await until(watching, "the patch", (frame) => frame.kind === "patch");
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/members/${viewer.id}`), 204);
  expect((await untilClosed(removed)).code).toBe(4403);
  await until(watching, "the leave", (frame) => isLeaveOf(frame, removed.clientId));
  expect(await refusedUpgrade(viewer, place)).toEqual({ status: 404, code: "not-found" });
  expect(watching.end).toBeUndefined();
});

test("who is removed from the organisation is closed too", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const seat = await sit(viewer, place);
  expectStatus(await call(place.owner, "DELETE", `/v1/orgs/${place.org_id}/members/${viewer.id}`), 204);
  expect((await untilClosed(seat)).code).toBe(4403);
});

test("deleting the workspace closes its room", async () => {
  const place = await home();
  const seat = await sit(place.owner, place);
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}`), 204);
  expect((await untilClosed(seat)).code).toBe(4410);
});

test("a seat ends with its credential: 4401", async () => {
  const place = await home(brisk.api);
  const token = await world().token({ sub: place.owner.sub, expires_in: 4 });
  const seat = await sit({ ...place.owner, token }, place);
  seat.update(1, { here: true });
  const keepAlive = setInterval(() => seat.end ?? seat.send("ping"), 200);
  // A token's end has 30 s of leeway at admission; a seat has none.
  const end = await untilClosed(seat).finally(() => clearInterval(keepAlive));
  expect(end.code).toBe(4401);
  await poll("the empty room", async () => (await snapshot(place.owner, place)).body.data.length === 0);
});

test("a silent seat ends, one that pings stays", async () => {
  const place = await home(brisk.api);
  const [silent, alive] = [await sit(place.owner, place), await sit(place.owner, place)];
  silent.update(1, { here: true });
  const keepAlive = setInterval(() => alive.send("ping"), 200);
  const end = await untilClosed(silent).finally(() => clearInterval(keepAlive));
  expect(end.code).toBe(4408);
  expect(alive.end).toBeUndefined();
  expect(alive.frames.some((frame) => frame.kind === "pong")).toBe(true);
  alive.close();
});

test.each([
  ["no JSON", "garbage{", 1007],
  ["a frame without a kind", JSON.stringify({ clock: 1, state: {} }), 1007],
  ["a place that is none", JSON.stringify({ kind: "update", clock: 9, state: {}, at: ["r1"] }), 1007],
  ["a state that is no object", JSON.stringify({ kind: "update", clock: 9, state: [] }), 1007],
  ["a state over 4 KiB", JSON.stringify({ kind: "update", clock: 9, state: { x: "x".repeat(4_096) } }), 1009],
  ["a frame of 1 MiB", "x".repeat(1024 * 1024), 1009],
  ["a frame of 30 MiB", "x".repeat(30 * 1024 * 1024), 1009],
  ["binary", new Uint8Array([1, 2, 3]), 1003],
  ["binary of 30 MiB", new Uint8Array(30 * 1024 * 1024), 1003],
])("%s closes its sender and nobody else", async (_, data, code) => {
  const place = await home();
  const [bad, good] = [await sit(place.owner, place), await sit(place.owner, place)];
  bad.raw(data);
  expect((await untilClosed(bad)).code).toBe(code);
  good.update(1, { fine: true });
  await poll("the good one", async () => (await snapshot(place.owner, place)).body.data.length === 1);
  expect(good.end).toBeUndefined();
});

test("a kind or a member of a later version changes nothing", async () => {
  const place = await home();
  const seat = await sit(place.owner, place);
  seat.raw(JSON.stringify({ kind: "wave", clock: "soon" }));
  seat.send(JSON.stringify({ kind: "update", clock: 1, state: { here: true }, mood: "calm" }));
  await poll("the state", async () => (await snapshot(place.owner, place)).body.data.length === 1);
  expect(seat.end).toBeUndefined();
});

test("a newer connection of a client takes its seat and state", async () => {
  const place = await home();
  const first = await sit(place.owner, place);
  first.update(3, { kept: true });
  await poll("the first state", async () => (await snapshot(place.owner, place)).body.data.length === 1);
  await sit(place.owner, place, first.clientId);
  expect((await untilClosed(first)).code).toBe(4409);
  expect((await snapshot(place.owner, place)).body.data).toMatchObject([{ clock: 3, state: { kept: true } }]);
});

test("a client id that another user holds is refused", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const seat = await sit(place.owner, place);
  const attempt = call(viewer, "GET", `/v1/workspaces/${place.id}/presence`);
  expectStatus(await attempt, 200);
  await expect(sit(viewer, place, seat.clientId)).rejects.toThrow(/403/);
  expect(seat.end).toBeUndefined();
});

test("strangers and the unnamed are refused before the upgrade", async () => {
  const place = await home();
  expect(await refusedUpgrade(await user(), place)).toEqual({ status: 404, code: "not-found" });
  const unnamed = { ...place.owner, token: "" };
  expect(await refusedUpgrade(unnamed, place)).toEqual({ status: 401, code: "unauthenticated" });
  expectProblem(await snapshot((await home()).owner, place), 404, "not-found");
});

test("a page of an origin that is not configured cannot open a socket with a stolen credential", async () => {
  const place = await home(brisk.api);
  const evil = { origin: "https://evil.example" };
  expect(await refusedUpgrade(place.owner, place, evil)).toEqual({ status: 403, code: "origin-not-allowed" });
  await expect(refusedUpgrade(place.owner, place, { origin: ORIGIN })).rejects.toThrow("accepted");
});

test("rooms are apart: another workspace's update reaches nobody here", async () => {
  const [here, there] = [await home(), await home()];
  const clientId = "same-client-id";
  const [mine, theirs] = [await sit(here.owner, here, clientId), await sit(there.owner, there, clientId)];
  theirs.update(1, { secret: "theirs" });
  await poll("their snapshot", async () => (await snapshot(there.owner, there)).body.data.length === 1);
  expect((await snapshot(here.owner, here)).body.data).toEqual([]);
  expect(mine.frames.map((frame) => frame.kind)).toEqual(["hello", "pong"]);
});
