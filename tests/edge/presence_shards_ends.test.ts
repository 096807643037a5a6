/** How a seat ends that sits in a shard: as in the room's own object, seen by everybody, and nobody else with it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { home, inTurn, type OwnedWorkspace } from "./actors.ts";
import { isLeaveOf, known, refusedUpgrade, type Seat, sit, snapshot, until, untilClosed } from "./rooms.ts";
import { alive, knows, moves } from "./seats.ts";
import { type OwnCell, poll, world } from "./world.ts";

/** Two sockets in the room's own object and two in its only shard. */
const EACH = 2;
const SHARDED = { PRESENCE_MAX_PEERS: String(EACH), PRESENCE_MAX_SHARDS: "2" };
let brisk: OwnCell;

beforeAll(async () => {
  brisk = await world().restart({ ...SHARDED, PRESENCE_ALARM_MS: "100", PRESENCE_TTL_MS: "6000" });
});
afterAll(() => brisk.stop());

test("a seat in a shard ends with its credential: 4401", async () => {
  const place = await home(brisk.api);
  const others = await inTurn(EACH + 1, () => sit(place.owner, place));
  const token = await world().token({ sub: place.owner.sub, expires_in: 4 });
  const ending = await last({ ...place, owner: { ...place.owner, token } }, others);
  using _ = alive([...others, ending]);
  expect((await untilClosed(ending)).code).toBe(4401);
  await expectLeft(ending, others);
});

test("a silent seat in a shard ends with 4408, one beside it that pings stays", async () => {
  const place = await home(brisk.api);
  const others = await inTurn(EACH + 1, () => sit(place.owner, place));
  using _ = alive(others);
  const silent = await last(place, others);
  expect((await untilClosed(silent)).code).toBe(4408);
  await expectLeft(silent, others);
  expect(others.every((seat) => seat.frames.filter((frame) => frame.kind === "pong").length > 1)).toBe(true);
});

// With each alarm a room asks its shards who sits there.
test.each([
  ["once a minute, as by default", 60_000],
  ["as often as it probes", 100],
])("who never reads in a shard that is asked %s is closed with 1013, and nobody else", async (_, alarmMs) => {
  // Patient with those who read: all of them do so in this one process.
  const patience = { PRESENCE_PROBE_MS: "100", PRESENCE_SHED_MS: "1000" };
  await using cell = await world().restart({ ...SHARDED, ...patience, PRESENCE_ALARM_MS: String(alarmMs) });
  const place = await home(cell.api);
  const others = await inTurn(EACH + 1, () => sit(place.owner, place));
  const slow = await last(place, others);
  slow.pause();
  const [fast, watching, beside] = others as [Seat, Seat, Seat];
  // Longer than it takes to be asked and given up.
  await moves(fast, watching, 30);
  await poll("his leave", async () => !known(watching).has(slow.clientId));
  slow.resume();
  expect((await untilClosed(slow)).code).toBe(1013);
  await until(slow, "the reason", (frame) => frame.kind === "error" && frame.code === 1013);
  await knows(beside, fast, 30);
  await expectLeft(slow, others);
  expect((await snapshot(place.owner, place)).body.data).toMatchObject([{ client_id: fast.clientId }]);
});

/** Takes the last seat of the shard; the others see what it shows. */
async function last(place: OwnedWorkspace, others: Seat[]): Promise<Seat> {
  const seat = await sit(place.owner, place);
  // As many as both objects hold: so each has its two, and the newest are in the shard.
  expect(await refusedUpgrade(place.owner, place)).toEqual({ status: 503, code: "overloaded" });
  seat.update(1, { n: 1 });
  for (const other of others) await knows(other, seat, 1);
  return seat;
}

/** All of them saw him leave, and are there. */
async function expectLeft(gone: Seat, others: Seat[]): Promise<void> {
  for (const seat of others) await until(seat, "the leave", (frame) => isLeaveOf(frame, gone.clientId));
  expect(others.filter((seat) => seat.end)).toEqual([]);
}
