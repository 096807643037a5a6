/** Draining rooms: everybody is sent away for a moment, each for another time, and nobody is lost. */
import { expect, test } from "vitest";
import { drain as drainAll } from "../../dev/drain.ts";
import { call, expectProblem, expectStatus, home, member, type OwnedWorkspace } from "./actors.ts";
import { apiKey, program } from "./keys.ts";
import { type Seat, sit, snapshot, until, untilClosed } from "./rooms.ts";
import type { Page } from "./shapes.ts";
import { type Cell, poll, world } from "./world.ts";

const DRAIN = "/v1/operator/presence/drain";
const ROOMS = "/v1/operator/presence/rooms";

test("a drain tells every socket when to come back, and who comes back is where he was", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const [ada, bob, watching] = [
    await sit(place.owner, place),
    await sit(viewer, place),
    await sit(viewer, place),
  ];
  ada.update(5, { at: "here" }, ["request/r1"]);
  bob.update(1, {});
  await poll("both", async () => (await snapshot(viewer, place)).body.data.length === 2);
  expect(expectStatus(await drain([place.id]), 200).body).toEqual({ sockets: 3, unreachable: [] });
  const delays: number[] = [];
  for (const seat of [ada, bob, watching]) delays.push(await retryAfter(seat));
  expect(new Set(delays).size, "no two come back at once").toBe(3);
  expect(Math.max(...delays)).toBeLessThan(10_000);
  const meanwhile = (await snapshot(viewer, place)).body.data.map((peer) => peer.client_id);
  expect(meanwhile.sort()).toEqual([ada.clientId, bob.clientId].sort());
  await world().evict("WorkspacePresence", place.id);
  const back = await sit(place.owner, place, ada.clientId);
  const here = (await snapshot(viewer, place)).body.data;
  expect(here.find((peer) => peer.client_id === ada.clientId)).toMatchObject({
    clock: 5,
    state: { at: "here" },
    at: ["request/r1"],
  });
  expect(back.frames[0]?.peers?.map((peer) => peer.client_id)).toEqual([bob.clientId]);
  back.close();
  await poll("bob alone", async () => (await snapshot(viewer, place)).body.data.length === 1);
});

test("who does not come back after a drain is gone with his time", async () => {
  await using cell = await world().restart({ PRESENCE_BEAT_MS: "300", PRESENCE_ALARM_MS: "100" });
  const place = await home(cell.api);
  const seat = await sit(place.owner, place);
  seat.update(1, {});
  await poll("the state", async () => (await snapshot(place.owner, place)).body.data.length === 1);
  expectStatus(await drain([place.id], cell.api), 200);
  await poll("nobody", async () => (await snapshot(place.owner, place)).body.data.length === 0);
});

test("a deploy sends everybody in every room away until it is over, and nobody is lost", async () => {
  await using cell = await world().restart({ METRICS_EVERY_MS: "50" });
  const places = [await home(cell.api), await home(cell.api), await home(cell.api)];
  const seats = await Promise.all(places.map((place) => sit(place.owner, place)));
  for (const [at, seat] of seats.entries()) seat.update(1, { at });
  const wanted = places.map((place) => ({ workspace_id: place.id, sockets: 1 }));
  await poll("the rooms", async () => JSON.stringify(await occupied(cell)) === JSON.stringify(byId(wanted)));
  const AFTER_MS = 12_000;
  const drained = await drainAll(cell.api, world().operatorToken, AFTER_MS);
  expect(drained).toEqual({ rooms: 3, sockets: 3, unreachable: [] });
  for (const seat of seats) expect(await retryAfter(seat)).toBeGreaterThanOrEqual(AFTER_MS);
  for (const place of places) await cell.evict("WorkspacePresence", place.id);
  for (const [at, place] of places.entries()) {
    const back = await sit(place.owner, place, seats[at]?.clientId);
    expect((await snapshot(place.owner, place)).body.data).toMatchObject([{ clock: 1, state: { at } }]);
    back.close();
  }
  await poll("no rooms", async () => (await occupied(cell)).length === 0);
  expect(await drainAll(cell.api, world().operatorToken)).toEqual({ rooms: 0, sockets: 0, unreachable: [] });
});

test("rooms are listed to the operator alone, and page by page", async () => {
  const place = await home();
  const { key } = await apiKey(place, { scopes: ["read", "write", "presence", "admin"] });
  for (const caller of [null, place.owner, program({ key })]) {
    expectProblem(await call(caller, "GET", `${world().api}${ROOMS}`), 401, "unauthenticated");
  }
  expectProblem(await rooms(world(), "cursor=of-another-list"), 400, "invalid-cursor");
  expectProblem(await rooms(world(), "limit=101"), 400, "invalid-parameter");
});

test("without metrics rooms are not known, and a deploy is told so", async () => {
  await using cell = await world().restart({}, { broken: "METRICS" });
  expectProblem(await rooms(cell), 503, "upstream-unavailable");
  await expect(drainAll(cell.api, world().operatorToken)).rejects.toThrow("answered 503");
});

test("only the operator drains, and only workspaces", async () => {
  const place: OwnedWorkspace = await home();
  const body = { workspaces: [place.id] };
  expectProblem(await call(null, "POST", `${world().api}${DRAIN}`, body), 401, "unauthenticated");
  expectProblem(await call(place.owner, "POST", DRAIN, body), 401, "unauthenticated");
  expectProblem(await drain([]), 400, "invalid-body");
  const wrong = expectProblem(await drain([place.id, "ws_none"]), 400, "invalid-body");
  expect(wrong.errors?.[0]?.pointer).toBe("/workspaces/1");
  expectProblem(await drain(Array.from({ length: 101 }, () => place.id)), 400, "invalid-body");
  const late = expectProblem(await drain([place.id], world().api, 60_001), 400, "invalid-body");
  expect(late.errors?.[0]?.pointer).toBe("/after_ms");
});

test("a room that does not answer is named", async () => {
  await using cell = await world().restart({}, { broken: "PRESENCE" });
  const place = await home();
  const answer = expectStatus(await drain([place.id], cell.api), 200);
  expect(answer.body).toEqual({ sockets: 0, unreachable: [place.id] });
});

function drain(workspaces: string[], api: string = world().api, afterMs = 0) {
  const operator = { authorization: `Bearer ${world().operatorToken}` };
  return call(null, "POST", `${api}${DRAIN}`, { workspaces, after_ms: afterMs }, operator);
}

interface Room {
  workspace_id: string;
  sockets: number;
}

function rooms(cell: Cell, query = "") {
  const operator = { authorization: `Bearer ${world().operatorToken}` };
  return call<Page<Room>>(null, "GET", `${cell.api}${ROOMS}?${query}`, undefined, operator);
}

/** Every occupied room, a page of two at a time. */
async function occupied(cell: Cell): Promise<Room[]> {
  const all: Room[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page: Page<Room> = expectStatus(
      await rooms(cell, `limit=2${cursor && `&cursor=${cursor}`}`),
      200,
    ).body;
    all.push(...page.data);
    cursor = page.next_cursor;
  }
  return all;
}

function byId(all: Room[]): Room[] {
  return all.sort((one, other) => (one.workspace_id < other.workspace_id ? -1 : 1));
}

async function retryAfter(seat: Seat): Promise<number> {
  expect((await untilClosed(seat)).code).toBe(1012);
  return Number((await until(seat, "the delay", (frame) => frame.kind === "error")).retry_after_ms);
}
