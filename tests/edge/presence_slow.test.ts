/** Readers who are too slow: the room goes on without them, tells them the newest once they read, or closes them. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { home, type OwnedWorkspace } from "./actors.ts";
import { known, type Seat, sit, snapshot, until, untilClosed } from "./rooms.ts";
import { knows, moves } from "./seats.ts";
import { type OwnCell, poll, world } from "./world.ts";

let patient: OwnCell;
let strict: OwnCell;

beforeAll(async () => {
  patient = await world().restart({ PRESENCE_PROBE_MS: "100", PRESENCE_SHED_MS: "60000" });
  strict = await world().restart({
    PRESENCE_PROBE_MS: "100",
    PRESENCE_SHED_MS: "300",
    PRESENCE_ALARM_MS: "100",
  });
});
afterAll(async () => {
  await patient.stop();
  await strict.stop();
});

test("who reads late is told the newest state, not all that was between", async () => {
  const place = await home(patient.api);
  const [fast, slow, watching] = await three(place);
  slow.pause();
  const last = await moves(fast, watching, 60);
  slow.resume();
  await knows(slow, fast, last);
  const seen = slow.frames.flatMap((frame) => frame.peers ?? []).map((peer) => peer.clock);
  expect(new Set(seen).size, "states in between are not sent").toBeLessThan(45);
  expect(slow.frames.filter((frame) => frame.kind === "hello")).toHaveLength(2);
  fast.update(1_000, { n: 1_000 });
  await knows(slow, fast, 1_000);
  expect([fast.end, slow.end, watching.end]).toEqual([undefined, undefined, undefined]);
});

test("a reader who is behind stays behind over an eviction, and catches up after it", async () => {
  const place = await home(patient.api);
  const [fast, slow, watching] = await three(place);
  slow.pause();
  await moves(fast, watching, 60);
  await patient.evict("WorkspacePresence", place.id);
  fast.update(500, { n: 500 });
  await knows(watching, fast, 500);
  slow.resume();
  await knows(slow, fast, 500);
});

test("who never reads is closed with 1013, and nobody else", async () => {
  const place = await home(strict.api);
  const [fast, slow, watching] = await three(place);
  slow.update(1, { n: 1 });
  await knows(watching, slow, 1);
  slow.pause();
  await moves(fast, watching, 60);
  await poll("his leave", async () => !known(watching).has(slow.clientId));
  slow.resume();
  expect((await untilClosed(slow)).code).toBe(1013);
  await until(slow, "the reason", (frame) => frame.kind === "error");
  expect([fast.end, watching.end]).toEqual([undefined, undefined]);
  expect((await snapshot(place.owner, place)).body.data).toHaveLength(1);
});

test("who never answers is closed also if nothing happens afterwards, long before the room looks around", async () => {
  await using cell = await world().restart({ PRESENCE_PROBE_MS: "1", PRESENCE_SHED_MS: "300" });
  const place = await home(cell.api);
  const [one, other] = [await sit(place.owner, place), await sit(place.owner, place)];
  // An answer would be an event, after which the room sets its alarm anew.
  [one.answers, other.answers] = [false, false];
  one.update(1, { n: 1 });
  await until(other, "the question", (frame) => frame.kind === "probe");
  one.update(2, { n: 2 });
  expect((await untilClosed(other)).code).toBe(1013);
});

async function three(place: OwnedWorkspace): Promise<[Seat, Seat, Seat]> {
  return [await sit(place.owner, place), await sit(place.owner, place), await sit(place.owner, place)];
}
