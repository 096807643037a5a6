/** One socket for presence and sync: a push tells the room which scopes have moved. */
import { expect, test } from "vitest";
import { call, expectStatus, home, member, type OwnedWorkspace, type User } from "./actors.ts";
import { device, mutation, push, type Scope, workspaceScope } from "./pushes.ts";
import { type Seat, sit } from "./rooms.ts";
import { poll, world } from "./world.ts";

test("a push tells everybody in the room the new epoch of its scope, at the cost of no round trip", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const [ada, bob] = [await sit(place.owner, place), await sit(viewer, place)];
  bob.subscribe(["request/elsewhere"]);
  const answer = await pushed(place.owner, place, workspaceScope(place));
  const [scope] = answer.body.scopes;
  expect(answer.headers.get("server-timing")).toContain('desc="1"');
  for (const seat of [ada, bob]) expect(await noticed(seat, place.id)).toEqual(scope);
});

test("a room that was empty hears of a push soon after somebody came", async () => {
  const place = await home();
  await pushed(place.owner, place, workspaceScope(place));
  const seat = await sit(place.owner, place);
  const second = await pushed(place.owner, place, workspaceScope(place));
  const third = await pushed(place.owner, place, workspaceScope(place));
  expect(second.body.scopes[0]?.epoch).toBeLessThan(Number(third.body.scopes[0]?.epoch));
  await poll("the newest epoch", async () => epochs(seat, place.id).at(-1) === third.body.scopes[0]?.epoch);
  expect(epochs(seat, place.id)).toEqual([...new Set(epochs(seat, place.id))].sort((a, b) => a - b));
});

test("a user's own scope is told to him alone", async () => {
  const place = await home();
  const editor = await member(place, "editor");
  const [own, other] = [await sit(editor, place), await sit(place.owner, place)];
  await pushed(editor, place, { type: "user", id: editor.id });
  expect(await noticed(own, editor.id)).toMatchObject({ type: "user" });
  await pushed(editor, place, workspaceScope(place));
  await noticed(other, place.id);
  expect(epochs(other, editor.id)).toEqual([]);
});

test("a room that does not answer costs a push nothing", async () => {
  await using cell = await world().restart({}, { broken: "PRESENCE" });
  const place = await home(cell.api);
  await pushed(place.owner, place, workspaceScope(place));
  expectStatus(await call(place.owner, "GET", `/v1/workspaces/${place.id}`), 200);
});

async function pushed(user: User, place: OwnedWorkspace, scope: Scope) {
  const from = device(user, place);
  return expectStatus(await push(from, [mutation(from, scope)]), 200);
}

function noticed(seat: Seat, id: string) {
  return poll(`the notice of ${id}`, async () => scopes(seat).find((scope) => scope.id === id));
}

function epochs(seat: Seat, id: string): number[] {
  return scopes(seat)
    .filter((scope) => scope.id === id)
    .map((scope) => scope.epoch);
}

function scopes(seat: Seat) {
  return seat.frames.flatMap((frame) => frame.scopes ?? []);
}
