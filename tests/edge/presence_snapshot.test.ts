/** `GET …/presence` as JSON: people, their clients, pages, and a tag that signs of life do not change. */
import { expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, member } from "./actors.ts";
import { people, sit, snapshot } from "./rooms.ts";
import { poll, world } from "./world.ts";

test("several tabs of one user are one person in the snapshot and several in the detail", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const [first, second, other] = [
    await sit(place.owner, place),
    await sit(place.owner, place),
    await sit(viewer, place),
  ];
  first.update(1, { tab: 1 }, ["request/r1"]);
  await poll("the first tab", async () => (await people(viewer, place)).body.data.length === 1);
  second.update(1, { tab: 2 }, ["request/r2"]);
  other.update(1, { tab: 3 });
  await poll("three clients", async () => (await snapshot(viewer, place)).body.data.length === 3);
  const shown = expectStatus(await people(viewer, place), 200).body.data;
  expect(shown.find((person) => person.user_id === place.owner.id)).toEqual({
    user_id: place.owner.id,
    name: place.owner.name,
    clients: 2,
    at: ["request/r1", "request/r2"],
    state: { tab: 2 },
    seen_at: expect.stringMatching(/Z$/),
  });
  expect(shown.map((person) => person.user_id).sort()).toEqual([place.owner.id, viewer.id].sort());
  const there = (await people(viewer, place, "at=request/r1")).body.data;
  expect(there).toMatchObject([{ user_id: place.owner.id, clients: 1, state: { tab: 1 } }]);
});

test.each([
  ["a number beyond all numbers", '{"x":1e999}'],
  ["half a character", '{"x":"\\ud83e"}'],
  ["two hundred lists in each other", `{"x":${"[".repeat(200)}${"]".repeat(200)}}`],
])("%s is shown as its client wrote it, and keeps nobody from the snapshot", async (_, state) => {
  const place = await home();
  const seat = await sit(place.owner, place);
  seat.send(`{"kind":"update","clock":1,"state":${state}}`);
  await poll("the seat", async () => (await snapshot(place.owner, place)).body.data.length === 1);
  for (const view of ["people", "clients"]) {
    const path = `/v1/workspaces/${place.id}/presence?view=${view}`;
    const shown = expectStatus(await call(place.owner, "GET", path), 200);
    expect(shown.text).toContain(`"state":${state}`);
    const headers = { "if-none-match": shown.headers.get("etag") ?? "" };
    expectStatus(await call(place.owner, "GET", path, undefined, headers), 304);
  }
});

test("people and clients come in pages, and a cursor is good for its own list", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const seats = [await sit(place.owner, place), await sit(place.owner, place), await sit(viewer, place)];
  for (const seat of seats) seat.update(1, {});
  await poll("all", async () => (await snapshot(viewer, place)).body.data.length === 3);
  const first = (await people(viewer, place, "limit=1")).body;
  const second = (await people(viewer, place, `limit=1&cursor=${first.next_cursor}`)).body;
  expect([...first.data, ...second.data].map((person) => person.user_id)).toEqual(
    [place.owner.id, viewer.id].sort(),
  );
  expect(second.next_cursor).toBeNull();
  const page = (await snapshot(viewer, place, "limit=2")).body;
  const rest = (await snapshot(viewer, place, `limit=2&cursor=${page.next_cursor}`)).body;
  expect([...page.data, ...rest.data].map((peer) => peer.client_id)).toEqual(
    seats.map((seat) => seat.clientId).sort(),
  );
  expectProblem(await people(viewer, place, `cursor=${page.next_cursor}`), 400, "invalid-cursor");
  expectProblem(await people(viewer, place, "view=tabs"), 400, "invalid-parameter");
  expectProblem(await people(viewer, place, "limit=101"), 400, "invalid-parameter");
});

test("who has the snapshot already is told so, until somebody shows something new", async () => {
  const place = await home();
  const seat = await sit(place.owner, place);
  seat.update(1, { n: 1 });
  await poll("the state", async () => (await people(place.owner, place)).body.data.length === 1);
  const tag = String((await people(place.owner, place)).headers.get("etag"));
  expect(tag).toMatch(/^W\/"/);
  seat.send("ping");
  const seen = { "if-none-match": tag };
  const again = await people(place.owner, place, "", seen);
  expect([again.status, again.text, again.headers.get("etag")]).toEqual([304, "", tag]);
  expect(again.headers.get("cache-control")).toBe("private, no-cache");
  seat.update(2, { n: 2 });
  await poll("another version", async () => (await people(place.owner, place, "", seen)).status === 200);
  expectStatus(await people(place.owner, place, "view=clients", seen), 200);
});

test("nobody is present in an empty room", async () => {
  const place = await home();
  expect((await people(place.owner, place)).body).toEqual({ data: [], next_cursor: null });
  const path = `${world().api}/v1/workspaces/${place.id}/presence`;
  expectProblem(await call(null, "GET", path), 401, "unauthenticated");
});
