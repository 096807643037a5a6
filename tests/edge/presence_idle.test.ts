/** What a room costs in which nothing happens: one alarm in a period, however many are there, and none when nobody is. */
import { expect, test } from "vitest";
import { home } from "./actors.ts";
import { type Seat, sit, snapshot } from "./rooms.ts";
import { crowd } from "./seats.ts";
import { type OwnCell, poll, world } from "./world.ts";

const PERIOD_MS = 500;
const PERIODS = 6;
/** Ten times what it takes on two busy cores. */
const DEADLINE_MS = 240_000;
/** A thousand is what one object holds. */
const ROOMS = [
  { objects: 1, seats: 1_000 },
  { objects: 4, seats: 200 },
];

test.each(ROOMS)(
  "idle, a room of $seats in $objects objects wakes once in a period, whoever pings, and empty never",
  async ({ objects, seats: count }) => {
    await using cell = await world().restart({
      PRESENCE_ALARM_MS: String(PERIOD_MS),
      PRESENCE_MAX_PEERS: String(count / objects),
      PRESENCE_MAX_PER_USER: String(count),
      METRICS_EVERY_MS: "50",
      LIMIT_SCALE: "100",
    });
    const place = await home(cell.api);
    const seats = await crowd([place.owner], place, count);
    for (const seat of seats) seat.update(1, { at: 1 });
    await wakesOnce(cell, seats);
    expect(seats.filter((seat) => seat.end)).toEqual([]);
    for (const seat of seats) seat.close();
    await poll("nobody", async () => (await snapshot(place.owner, place)).body.data.length === 0);
    // The next room tells how time goes by: were the first still awake, there would be twice as many alarms.
    const other = await home(cell.api);
    const watch = await sit(other.owner, other);
    await wakesOnce(cell, [watch]);
  },
  DEADLINE_MS,
);

/** Alarms come, and so many take so many periods. The first may be told late, so one period is given. */
async function wakesOnce(cell: OwnCell, seats: Seat[]): Promise<void> {
  const before = await alarms(cell);
  let next = 0;
  const grownBy = (count: number) => async () => {
    seats[next++ % seats.length]?.send("ping");
    return (await alarms(cell)) >= before + count;
  };
  await poll("an alarm", grownBy(1));
  const since = Date.now();
  const first = await alarms(cell);
  await poll("further alarms", grownBy(first - before + PERIODS));
  expect(Date.now() - since).toBeGreaterThan((PERIODS - 1) * PERIOD_MS);
}

async function alarms(cell: OwnCell): Promise<number> {
  const headers = { authorization: `Bearer ${world().operatorToken}` };
  const text = await (await fetch(`${cell.api}/metrics`, { headers })).text();
  return Number(/^drey_presence_alarms_total (\d+)$/m.exec(text)?.[1] ?? 0);
}
