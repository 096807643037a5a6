/** A thousand in a room: everybody ends up knowing the same, through a restart of the room's object. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { home, member, type OwnedWorkspace, type User } from "./actors.ts";
import { known, type PeerView, type Seat, sit, snapshot } from "./rooms.ts";
import type { Page } from "./shapes.ts";
import { type OwnCell, poll, world } from "./world.ts";

const SEATS = 1_000;
/** Upgrades under way at a time. */
const AT_A_TIME = 50;
/** Four times what it takes on two busy cores. */
const DEADLINE_MS = 120_000;
let roomy: OwnCell;

beforeAll(async () => {
  roomy = await world().restart({ PRESENCE_MAX_PER_USER: "1000", LIMIT_SCALE: "100" });
});
afterAll(() => roomy.stop());

test(
  "a thousand join, update and leave, and every one sees the final truth",
  async () => {
    const place = await home(roomy.api);
    const people = [place.owner, ...(await Promise.all([1, 2, 3, 4].map(() => member(place, "viewer"))))];
    const seats = await crowd(people, place);
    for (const seat of seats) seat.update(1, { at: 1 });
    await agreed(seats, 1);
    await roomy.evict("WorkspacePresence", place.id);
    for (const seat of seats) seat.update(2, { at: 2 });
    await agreed(seats, 2);
    const [leaving, staying] = [seats.slice(0, SEATS / 2), seats.slice(SEATS / 2)];
    for (const seat of leaving) seat.close();
    await agreed(staying, 2);
    expect(staying.filter((seat) => seat.end)).toEqual([]);
    expect(await everybody(place.owner, place)).toEqual(staying.map((seat) => seat.clientId).sort());
    const frames = Math.max(...seats.map((seat) => seat.frames.length));
    expect(frames, "frames of many peers, not a frame a peer").toBeLessThan(SEATS);
    for (const seat of staying) seat.close();
  },
  DEADLINE_MS,
);

async function crowd(people: User[], place: OwnedWorkspace): Promise<Seat[]> {
  const seats: Seat[] = [];
  while (seats.length < SEATS) {
    const some = Array.from({ length: AT_A_TIME }, (_, index) => people[index % people.length] as User);
    seats.push(...(await Promise.all(some.map((person) => sit(person, place)))));
  }
  return seats;
}

/** Waits until each of them knows of exactly the others, and their newest state. */
function agreed(seats: Seat[], at: number): Promise<unknown> {
  const wanted = JSON.stringify({ at });
  const knowsAll = (seat: Seat) => {
    const room = known(seat);
    return (
      room.size === seats.length - 1 && [...room.values()].every((state) => JSON.stringify(state) === wanted)
    );
  };
  const waiting = new Set(seats);
  const nobodyWaits = async () => {
    for (const seat of waiting) {
      if (!knowsAll(seat)) return false;
      waiting.delete(seat);
    }
    return true;
  };
  return poll(`${seats.length} seats to agree on ${wanted}`, nobodyWaits, DEADLINE_MS);
}

/** The ids of the whole snapshot, page by page. */
async function everybody(caller: User, place: OwnedWorkspace): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page: Page<PeerView> = (await snapshot(caller, place, `limit=100${cursor && `&cursor=${cursor}`}`))
      .body;
    ids.push(...page.data.map((peer) => peer.client_id));
    cursor = page.next_cursor;
  }
  return ids.sort();
}
