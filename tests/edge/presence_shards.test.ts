/** A room larger than one object may hold: its sockets are spread over several, and it stays one room. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, expectStatus, home, member, type OwnedWorkspace } from "./actors.ts";
import { device, mutation, push, workspaceScope } from "./pushes.ts";
import {
  isLeaveOf,
  known,
  people,
  refusedUpgrade,
  type Seat,
  sit,
  sitByTicket,
  snapshot,
  ticketFor,
  until,
  untilClosed,
} from "./rooms.ts";
import { agreed, crowd, everybody } from "./seats.ts";
import { type OwnCell, poll, world } from "./world.ts";

/** Eight sockets an object, five objects a room. */
const EACH = 8;
const MOST = 5 * EACH;
let sharded: OwnCell;

beforeAll(async () => {
  sharded = await world().restart({
    PRESENCE_MAX_PEERS: String(EACH),
    PRESENCE_MAX_SHARDS: "5",
    PRESENCE_MAX_PER_USER: "100",
    LIMIT_SCALE: "100",
  });
});
afterAll(() => sharded.stop());

test("forty in five objects join, update, sleep and leave, and every one sees the final truth", async () => {
  const place = await home(sharded.api);
  const viewer = await member(place, "viewer");
  const seats = await crowd([place.owner, viewer], place, MOST);
  expect(await refusedUpgrade(viewer, place)).toEqual({ status: 503, code: "overloaded" });
  for (const seat of seats) seat.update(1, { at: 1 });
  await agreed(seats, 1);
  expect(await everybody(viewer, place)).toEqual(seats.map((seat) => seat.clientId).sort());
  for (const shard of [1, 2, 3, 4]) await sharded.evict("PresenceShard", `${place.id}/${shard}`);
  for (const seat of seats) seat.update(2, { at: 2 });
  await agreed(seats, 2);
  await sharded.evict("WorkspacePresence", place.id);
  expect(await everybody(viewer, place)).toEqual(seats.map((seat) => seat.clientId).sort());
  for (const seat of seats) seat.update(3, { at: 3 });
  await agreed(seats, 3);
  const [leaving, staying] = [seats.slice(0, MOST / 2), seats.slice(MOST / 2)];
  for (const seat of leaving) seat.close();
  await agreed(staying, 3);
  expect(await everybody(viewer, place)).toEqual(staying.map((seat) => seat.clientId).sort());
  expect(staying.filter((seat) => seat.end)).toEqual([]);
  expect((await people(viewer, place)).body.data.map((person) => person.clients)).toEqual([10, 10]);
});

test("a room that slept, all of it, hears who leaves and who moves", async () => {
  const place = await home(sharded.api);
  const seats = await full(place, 1);
  for (const seat of seats) seat.update(1, { at: 1 });
  await agreed(seats, 1);
  await asleep(place, 1);
  const [here, away] = [seats[0] as Seat, seats[EACH] as Seat];
  away.update(2, { at: 2 });
  await poll("the move", async () => JSON.stringify(known(here).get(away.clientId)) === '{"at":2}');
  await asleep(place, 1);
  away.close();
  await until(here, "the leave", (frame) => isLeaveOf(frame, away.clientId));
});

test("a client that connects again takes its place, in whatever object that is", async () => {
  const place = await home(sharded.api);
  const seats = await full(place, 1);
  const [here, away] = [seats[0] as Seat, seats[EACH] as Seat];
  away.update(5, { at: "here" }, ["request/r1"]);
  here.update(1, {});
  await poll("both", async () => (await everybody(place.owner, place)).length === 2);
  const again = await sit(place.owner, place, away.clientId);
  expect((await untilClosed(away)).code).toBe(4409);
  const shown = (await snapshot(place.owner, place)).body.data.find(
    (peer) => peer.client_id === away.clientId,
  );
  expect(shown).toMatchObject({ clock: 5, state: { at: "here" }, at: ["request/r1"] });
  expect(again.frames[0]?.peers?.map((peer) => peer.client_id)).toEqual([here.clientId]);
  again.update(6, { at: "there" });
  await poll("the move", async () => JSON.stringify(known(here).get(away.clientId)) === '{"at":"there"}');
});

test("a removal, a drain and a notice reach every object", async () => {
  const place = await home(sharded.api);
  const viewer = await member(place, "viewer");
  const seats = await crowd([place.owner, viewer], place, EACH + 4);
  const [owned, viewed] = [seats.filter((_, at) => at % 2 === 0), seats.filter((_, at) => at % 2 === 1)];
  await pushed(place);
  for (const seat of seats) await until(seat, "the notice", (frame) => frame.kind === "notice");
  const path = `/v1/workspaces/${place.id}/members/${viewer.id}`;
  expectStatus(await call(place.owner, "DELETE", path), 204);
  for (const seat of viewed) expect((await untilClosed(seat)).code).toBe(4403);
  for (const [at, seat] of owned.entries()) seat.update(1, { at });
  await poll("the states", async () => (await everybody(place.owner, place)).length === owned.length);
  const operator = { authorization: `Bearer ${world().operatorToken}` };
  const drain = `${sharded.api}/v1/operator/presence/drain`;
  const drained = await call(null, "POST", drain, { workspaces: [place.id] }, operator);
  expect(expectStatus(drained, 200).body).toEqual({ sockets: owned.length, unreachable: [] });
  for (const seat of owned) expect((await untilClosed(seat)).code).toBe(1012);
  expect((await everybody(place.owner, place)).length, "nobody is seen to leave").toBe(owned.length);
});

test("who brings a ticket, and who sends heartbeats, is there like everybody", async () => {
  const place = await home(sharded.api);
  const seats = await full(place, 0);
  const ticket = await ticketFor(place.owner, place);
  const browser = await sitByTicket(sharded.api, place, ticket);
  browser.update(1, { by: "ticket" });
  await until(seats[0] as Seat, "the browser", (frame) => frame.kind === "patch");
  const path = `/v1/workspaces/${place.id}/presence?client_id=${browser.clientId}`;
  expectStatus(await call(place.owner, "POST", path, { clock: 2, state: { by: "heartbeat" } }), 200);
  await poll("the heartbeat", async () => {
    return JSON.stringify(known(seats[0] as Seat).get(browser.clientId)) === '{"by":"heartbeat"}';
  });
  await sharded.evict("PresenceShard", `${place.id}/1`);
  expect((await snapshot(place.owner, place)).body.data).toMatchObject([{ clock: 2 }]);
});

test("a bad frame closes its sender alone, in a shard too", async () => {
  const place = await home(sharded.api);
  const seats = await full(place, 1);
  const away = seats[EACH] as Seat;
  away.update(1, {});
  await until(seats[0] as Seat, "the state", (frame) => frame.kind === "patch");
  away.raw("{");
  expect((await untilClosed(away)).code).toBe(1007);
  await until(seats[0] as Seat, "the leave", (frame) => isLeaveOf(frame, away.clientId));
  expect(seats.filter((seat) => seat.end)).toEqual([away]);
});

test("shards that fail take nobody's seat in the room's own object", async () => {
  await using broken = await world().restart(
    { PRESENCE_MAX_PEERS: "2", PRESENCE_MAX_PER_USER: "100" },
    { broken: "PRESENCE_SHARD" },
  );
  const place = await home(broken.api);
  const [ada, bob] = [await sit(place.owner, place), await sit(place.owner, place)];
  expect((await refusedUpgrade(place.owner, place)).status).toBe(503);
  ada.update(1, { at: 1 });
  await poll("the state", async () => known(bob).has(ada.clientId));
  bob.close();
  await poll("a seat", async () => sit(place.owner, place).catch(() => undefined));
});

test("a shard that does not answer holds up nobody else", async () => {
  const variables = { PRESENCE_MAX_PEERS: "2", PRESENCE_MAX_PER_USER: "100", PRESENCE_TICK_MS: "1" };
  await using broken = await world().restart(variables, { broken: "PRESENCE_SHARD" });
  const place = await home(broken.api);
  const [ada, bob] = [await sit(place.owner, place), await sit(place.owner, place)];
  expect((await refusedUpgrade(place.owner, place)).status).toBe(503);
  // A room that wakes asks its shard in vain, and does so again every 500 ms.
  await broken.evict("WorkspacePresence", place.id);
  const since = Date.now();
  for (let clock = 2; clock <= 40; clock += 2) {
    // The first is told at once, the second with the tick.
    ada.update(clock - 1, { clock: clock - 1 });
    ada.update(clock, { clock });
    await poll(
      "the state",
      async () => JSON.stringify(known(bob).get(ada.clientId)) === `{"clock":${clock}}`,
    );
  }
  expect(Date.now() - since, "20 ticks, none of which waits for the next question").toBeLessThan(20 * 250);
});

/** A full object, and so many sockets in the next. */
async function full(place: OwnedWorkspace, more: number): Promise<Seat[]> {
  const here = await crowd([place.owner], place, EACH);
  return [...here, ...(await crowd([place.owner], place, more))];
}

/** Something of the workspace's own scope has moved. */
async function pushed(place: OwnedWorkspace): Promise<void> {
  const from = device(place.owner, place);
  expectStatus(await push(from, [mutation(from, workspaceScope(place))]), 200);
}

/** Every object of the room forgets what it has in memory. */
async function asleep(place: OwnedWorkspace, shards: number): Promise<void> {
  await sharded.evict("WorkspacePresence", place.id);
  for (let shard = 1; shard <= shards; shard += 1) {
    await sharded.evict("PresenceShard", `${place.id}/${shard}`);
  }
}
