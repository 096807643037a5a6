/** What bounds a room: seats per user, frames per socket, the largest peer, and access that ends without a notice. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  call,
  expectStatus,
  home,
  member,
  type OwnedWorkspace,
  orgMember,
  type User,
  user,
} from "./actors.ts";
import { removeUntold, revokeUntold } from "./database.ts";
import { apiKey, program } from "./keys.ts";
import { isLeaveOf, known, refusedUpgrade, sit, snapshot, until, untilClosed } from "./rooms.ts";
import type { Me } from "./shapes.ts";
import { type OwnCell, poll, world } from "./world.ts";

let tight: OwnCell;

beforeAll(async () => {
  tight = await world().restart({
    PRESENCE_ALARM_MS: "100",
    PRESENCE_MAX_PER_USER: "3",
    PRESENCE_FRAMES_PER_S: "20",
    PRESENCE_FRAMES_BURST: "20",
    GATE_REFRESH_MS: "50",
  });
});
afterAll(() => tight.stop());

test("a seat whose removal nobody told ends with the next look around: 4403", async () => {
  const place = await home(tight.api);
  const viewer = await member(place, "viewer");
  const [staying, removed] = [await sit(place.owner, place), await sit(viewer, place)];
  removed.update(1, { here: true });
  await until(staying, "the patch", (frame) => frame.kind === "patch");
  await removeUntold(place, viewer);
  expect((await untilClosed(removed)).code).toBe(4403);
  await until(staying, "the leave", (frame) => isLeaveOf(frame, removed.clientId));
  expect(staying.end).toBeUndefined();
});

test("a program's seat ends with its key: 4403 at once, and with the next look around if nobody told", async () => {
  const place = await home(tight.api);
  const [told, untold, good] = [await presenceKey(place), await presenceKey(place), await presenceKey(place)];
  const seats = [await sit(told, place), await sit(untold, place)] as const;
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/api-keys/${told.id}`), 204);
  expect((await untilClosed(seats[0])).code).toBe(4403);
  // The seats of its creator's other keys close with it; those keys open others.
  await untilClosed(seats[1]);
  const again = await sit(untold, place);
  const person = await sit(await member(place, "viewer"), place);
  await revokeUntold(place, untold);
  expect((await untilClosed(again)).code).toBe(1012);
  expect(await refusedUpgrade(untold, place)).toEqual({ status: 401, code: "invalid-token" });
  await sit(good, place);
  expect(person.end).toBeUndefined();
});

test("a program's seat ends when its key does: 4401", async () => {
  const place = await home(tight.api);
  const expires_at = new Date(Date.now() + 2_000).toISOString();
  const seat = await sit(await presenceKey(place, { expires_at }), place);
  expect((await untilClosed(seat)).code).toBe(4401);
});

test("an admin of the organisation who becomes a member loses the seats he had as one: 4403", async () => {
  const place = await home(tight.api);
  const admin = await orgMember({ id: place.org_id, owner: place.owner }, "admin");
  const seat = await sit(admin, place);
  const path = `/v1/orgs/${place.org_id}/members/${admin.id}`;
  expectStatus(await call(place.owner, "PUT", path, { role: "member" }), 200);
  expect((await untilClosed(seat)).code).toBe(4403);
  expect(await refusedUpgrade(admin, place)).toEqual({ status: 404, code: "not-found" });
});

test("who keeps a role keeps the seat, whatever is asked", async () => {
  const place = await home(tight.api);
  const seat = await sit(place.owner, place);
  seat.update(1, { at: 1 });
  const pongs = () => seat.frames.filter((frame) => frame.kind === "pong").length;
  await poll("ten looks around", async () => {
    seat.send("ping");
    return pongs() > 60;
  });
  expect(seat.end).toBeUndefined();
});

test("one user has so many seats; another still gets one", async () => {
  const place = await home(tight.api);
  const viewer = await member(place, "viewer");
  const seats = [await sit(place.owner, place), await sit(place.owner, place), await sit(place.owner, place)];
  expect(await refusedUpgrade(place.owner, place)).toEqual({ status: 429, code: "quota-exceeded" });
  await sit(viewer, place);
  seats[0]?.close();
  await poll("a free seat", async () => sit(place.owner, place).catch(() => undefined));
});

test("of a sender that is too fast the others hear the last state, and he stays", async () => {
  const place = await home(tight.api);
  const [fast, watching] = [await sit(place.owner, place), await sit(place.owner, place)];
  for (let clock = 1; clock <= 35; clock += 1) fast.update(clock, { clock });
  await poll("the last state", async () => {
    return JSON.stringify(known(watching).get(fast.clientId)) === '{"clock":35}';
  });
  expect(watching.frames.filter((frame) => frame.kind === "patch").length).toBeLessThan(35);
  expect(fast.end).toBeUndefined();
});

test("a flood closes its sender with 1008 and nobody else", async () => {
  const place = await home(tight.api);
  const [flooding, watching] = [await sit(place.owner, place), await sit(place.owner, place)];
  flooding.update(1, { here: true });
  await poll("the first state", async () => known(watching).has(flooding.clientId));
  for (let clock = 2; clock <= 500; clock += 1) flooding.update(clock, { clock });
  expect((await untilClosed(flooding)).code).toBe(1008);
  await poll("the leave", async () => !known(watching).has(flooding.clientId));
  watching.update(1, { fine: true });
  await poll("the other", async () => (await snapshot(place.owner, place)).body.data.length === 1);
  expect(watching.end).toBeUndefined();
});

test("the largest state of the longest name outlives an eviction", async () => {
  const place = await home();
  const named = await renamed(place.owner, "Ł".repeat(100));
  const seat = await sit(named, place);
  const state = { wide: "ß".repeat(2040) };
  seat.update(1, state);
  await poll("the state", async () => (await snapshot(place.owner, place)).body.data.length === 1);
  await world().evict("WorkspacePresence", place.id);
  const after = (await snapshot(place.owner, place)).body.data;
  expect(after).toMatchObject([{ name: named.name, clock: 1, state }]);
});

test.each([
  ["holds a NUL", "Ada\0"],
  ["is longer than a name may be", "x".repeat(101)],
])("a token whose name %s is good without it", async (_, name) => {
  const stranger = await renamed(await user(tight.api), name);
  const me = expectStatus(await call<Me>(stranger, "GET", "/v1/me"), 200);
  expect(me.body.id).toBe(stranger.id);
  const place = await home(tight.api);
  const seat = await sit(await renamed(place.owner, name), place);
  seat.update(1, {});
  const shown = await poll("the seat", async () => (await snapshot(place.owner, place)).body.data[0]);
  expect(shown.name).toBeNull();
});

/** A program with a key of this workspace that may be present. */
async function presenceKey(place: OwnedWorkspace, fields: Record<string, unknown> = {}): Promise<User> {
  const made = await apiKey(place, { scopes: ["presence"], ...fields });
  return { ...program(made, tight.api), id: made.id };
}

/** The same person with another name in the token. */
async function renamed(person: User, name: string): Promise<User> {
  return { ...person, name, token: await world().token({ sub: person.sub, email: person.email, name }) };
}
