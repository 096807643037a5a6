/**
 * An eviction among updates: whatever was said before, while and after, everybody ends up with the last of it.
 *
 * The runtime evicts no object in which a timer is pending, and an untold tick is one. So an object goes at the first moment
 * in which it has nothing to tell; in the middle of a tick it can go where the tick is that of another object of its room.
 */
import { expect, test } from "vitest";
import { home, inTurn } from "./actors.ts";
import { known, type Seat, sit } from "./rooms.ts";
import { agreed, alive, crowd, knows } from "./seats.ts";
import { type OwnCell, poll, world } from "./world.ts";

/** Several times what an eviction takes. */
const TICK_MS = 8_000;
const DEADLINE_MS = 2 * TICK_MS;
/** Ten times what it takes in a room in which something happens all the time. */
const EVICTION_MS = 20_000;

test("updates that are sent while the object is evicted, three times over, all arrive", async () => {
  const place = await home();
  const seats = await crowd([place.owner], place, 8);
  const [one, other] = seats as [Seat, Seat];
  let at = 0;
  const say = () => {
    at += 1;
    for (const seat of seats) seat.update(at, { at });
  };
  for (let evictions = 0; evictions < 3; evictions += 1) {
    say();
    const evicted = world().evict("WorkspacePresence", place.id);
    say();
    // The next with each tick: at that moment the object has nothing to tell, and frames are on their way to it.
    const isTold = () => JSON.stringify(known(other).get(one.clientId)) === JSON.stringify({ at });
    await during(evicted, () => isTold() && say());
    await agreed(seats, at);
  }
  expect(seats.filter((seat) => seat.end)).toEqual([]);
}, 90_000);

test.each([
  ["give signs of life", true],
  ["are silent since", false],
])(
  "a room that is evicted before it has heard of updates in shards tells them: of seats that %s",
  async (_, pings) => {
    await using cell = await slow(1);
    const place = await home(cell.api);
    const seats = await inTurn(4, () => sit(place.owner, place));
    const [here, ...away] = seats as [Seat, Seat, Seat, Seat];
    here.update(3, { at: 3 });
    for (const seat of away) await poll("what the room knows", async () => known(seat).has(here.clientId));
    for (let at = 1; at <= 3; at += 1) for (const seat of away) seat.update(at, { at });
    using _alive = alive(pings ? away : []);
    await cell.evict("WorkspacePresence", place.id);
    expect([...known(here)], "nobody has told the room yet").toEqual([]);
    await agreed(seats, 3, DEADLINE_MS);
    expect(seats.filter((seat) => seat.end)).toEqual([]);
  },
  60_000,
);

test("a shard that is evicted before its room has told it of a tick's updates hears all of them", async () => {
  await using cell = await slow(2);
  const place = await home(cell.api);
  const [ada, bob, away] = (await inTurn(3, () => sit(place.owner, place))) as [Seat, Seat, Seat];
  // The first goes out at once, the others with the next tick.
  ada.update(1, { n: 1 });
  await knows(away, ada, 1);
  for (let n = 2; n <= 4; n += 1) for (const seat of [ada, bob]) seat.update(n, { n });
  await cell.evict("PresenceShard", `${place.id}/1`);
  expect([...known(away).values()], "the tick is not over").toEqual([{ n: 1 }]);
  for (const seat of [ada, bob]) await knows(away, seat, 4, DEADLINE_MS);
  await knows(ada, bob, 4);
  await knows(bob, ada, 4);
  expect([ada.end, bob.end, away.end]).toEqual([undefined, undefined, undefined]);
});

/** Does this again and again until something has happened. */
async function during(event: Promise<void>, act: () => unknown): Promise<void> {
  let isOver = false;
  const over = event.finally(() => {
    isOver = true;
  });
  const goesOn = async () => {
    if (!isOver) act();
    return isOver;
  };
  await poll("its end", goesOn, EVICTION_MS);
  await over;
}

/** Workers whose rooms tell seldom, with so many sockets an object. */
function slow(each: number): Promise<OwnCell> {
  return world().restart({ PRESENCE_TICK_MS: String(TICK_MS), PRESENCE_MAX_PEERS: String(each) });
}
