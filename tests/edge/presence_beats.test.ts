/** `POST …/presence`: presence for clients without sockets, by heartbeats. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, member, type OwnedWorkspace, type User } from "./actors.ts";
import { isLeaveOf, known, sit, snapshot, until, untilClosed } from "./rooms.ts";
import { type OwnCell, poll, world } from "./world.ts";

let brisk: OwnCell;

beforeAll(async () => {
  brisk = await world().restart({
    PRESENCE_BEAT_MS: "300",
    PRESENCE_ALARM_MS: "100",
    PRESENCE_TTL_MS: "60000",
  });
});
afterAll(() => brisk.stop());

test("a heartbeat shows its client to sockets and in the snapshot, and a null state leaves", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const watching = await sit(place.owner, place);
  const answer = expectStatus(await beat(viewer, place, { clock: 1, state: { at: "cli" } }), 200);
  expect(answer.body).toEqual({ client_id: "cli", expires_in_ms: 30_000 });
  expect(answer.headers.get("cache-control")).toBe("no-store");
  await poll("the patch", async () => known(watching).has("cli"));
  expect((await snapshot(viewer, place)).body.data).toMatchObject([
    { client_id: "cli", user_id: viewer.id, clock: 1, state: { at: "cli" } },
  ]);
  expectStatus(await beat(viewer, place, { clock: 1, state: { at: "an older one" } }), 200);
  expect((await snapshot(viewer, place)).body.data).toMatchObject([{ state: { at: "cli" } }]);
  expectStatus(await beat(viewer, place, { clock: 2, state: null }), 200);
  await until(watching, "the leave", (frame) => isLeaveOf(frame, "cli"));
  expect((await snapshot(viewer, place)).body.data).toEqual([]);
});

test("without the next heartbeat a client is gone", async () => {
  const place = await home(brisk.api);
  const watching = await sit(place.owner, place);
  expectStatus(await beat(place.owner, place, { clock: 1, state: {} }), 200);
  await until(watching, "the leave", (frame) => isLeaveOf(frame, "cli"));
  expect(watching.end).toBeUndefined();
});

test("a heartbeat outlives the eviction of its room", async () => {
  const place = await home();
  expectStatus(await beat(place.owner, place, { clock: 7, state: { kept: true } }), 200);
  await world().evict("WorkspacePresence", place.id);
  expect((await snapshot(place.owner, place)).body.data).toMatchObject([{ clock: 7, state: { kept: true } }]);
  expectStatus(await beat(place.owner, place, { clock: 8, state: null }), 200);
  await world().evict("WorkspacePresence", place.id);
  expect((await snapshot(place.owner, place)).body.data).toEqual([]);
});

test("a socket takes the place of a heartbeat, and a heartbeat speaks for its client's socket", async () => {
  const place = await home();
  expectStatus(await beat(place.owner, place, { clock: 1, state: { by: "beat" } }), 200);
  const seat = await sit(place.owner, place, "cli");
  expect((await snapshot(place.owner, place)).body.data).toMatchObject([{ state: { by: "beat" } }]);
  expectStatus(await beat(place.owner, place, { clock: 2, state: { by: "beat again" } }), 200);
  expect((await snapshot(place.owner, place)).body.data).toMatchObject([{ state: { by: "beat again" } }]);
  expect(seat.end).toBeUndefined();
  seat.close();
  await poll("the empty room", async () => (await snapshot(place.owner, place)).body.data.length === 0);
  await world().evict("WorkspacePresence", place.id);
  expect((await snapshot(place.owner, place)).body.data).toEqual([]);
});

test("who is removed is gone with his heartbeats", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  expectStatus(await beat(viewer, place, { clock: 1, state: {} }), 200);
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/members/${viewer.id}`), 204);
  expect((await snapshot(place.owner, place)).body.data).toEqual([]);
  expectProblem(await beat(viewer, place, { clock: 2, state: {} }), 404, "not-found");
});

test("deleting the workspace ends heartbeats and sockets alike", async () => {
  const place = await home();
  expectStatus(await beat(place.owner, place, { clock: 1, state: {} }), 200);
  const seat = await sit(place.owner, place);
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}`), 204);
  expect((await untilClosed(seat)).code).toBe(4410);
});

test("another user's client id is refused", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  expectStatus(await beat(place.owner, place, { clock: 1, state: {} }), 200);
  expectProblem(await beat(viewer, place, { clock: 2, state: {} }), 403, "client-mismatch");
});

test.each([
  ["no state", { clock: 1 }, ""],
  ["a state that is a list", { clock: 1, state: [] }, "/state"],
  ["a state over 4 KiB", { clock: 1, state: { x: "x".repeat(4_096) } }, "/state"],
  ["a place that is none", { clock: 1, state: {}, at: ["request"] }, "/at"],
  ["a clock below 0", { clock: -1, state: {} }, "/clock"],
])("%s is 400", async (_, body, pointer) => {
  const place = await home();
  const answer = await call(place.owner, "POST", `/v1/workspaces/${place.id}/presence`, body);
  expect(expectProblem(answer, 400, "invalid-body").errors?.[0]?.pointer).toBe(pointer);
});

test("a client id that is none is 400, and without one a client is given one", async () => {
  const place = await home();
  const path = `/v1/workspaces/${place.id}/presence`;
  const fields = { clock: 1, state: {} };
  const spaced = await call(place.owner, "POST", `${path}?client_id=c%20l%20i`, fields);
  expectProblem(spaced, 400, "invalid-parameter");
  const given = expectStatus(await call<{ client_id: string }>(place.owner, "POST", path, fields), 200);
  expect((await snapshot(place.owner, place)).body.data).toMatchObject([{ client_id: given.body.client_id }]);
});

function beat(caller: User, place: OwnedWorkspace, fields: { clock: number; state: object | null }) {
  const path = `/v1/workspaces/${place.id}/presence?client_id=cli`;
  return call<{ client_id: string; expires_in_ms: number }>(caller, "POST", path, fields);
}
