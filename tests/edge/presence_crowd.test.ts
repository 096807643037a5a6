/** A thousand in a room: everybody ends up knowing the same, through a restart of the room's object. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { home, inTurn, member } from "./actors.ts";
import { agreed, crowd, everybody, gone } from "./seats.ts";
import { type OwnCell, world } from "./world.ts";

const SEATS = 1_000;
const PEOPLE = 50;
/** Six times what it takes on two busy cores. */
const DEADLINE_MS = 300_000;
let roomy: OwnCell;

beforeAll(async () => {
  roomy = await world().restart({ LIMIT_SCALE: "100" });
});
afterAll(() => roomy.stop());

test(
  "a thousand join, update and leave, and every one sees the final truth",
  async () => {
    const place = await home(roomy.api);
    // Each has as many seats as one may have.
    const others = await inTurn(PEOPLE - 1, () => member(place, "viewer"));
    const people = [place.owner, ...others];
    const seats = await crowd(people, place, SEATS);
    for (const seat of seats) seat.update(1, { at: 1 });
    await agreed(seats, 1, DEADLINE_MS);
    await gone(roomy, "WorkspacePresence", place.id);
    for (const seat of seats) seat.update(2, { at: 2 });
    await agreed(seats, 2, DEADLINE_MS);
    const [leaving, staying] = [seats.slice(0, SEATS / 2), seats.slice(SEATS / 2)];
    for (const seat of leaving) seat.close();
    await agreed(staying, 2, DEADLINE_MS);
    expect(staying.filter((seat) => seat.end)).toEqual([]);
    expect(await everybody(place.owner, place)).toEqual(staying.map((seat) => seat.clientId).sort());
    const frames = Math.max(...seats.map((seat) => seat.frames.length));
    expect(frames, "frames of many peers, not a frame a peer").toBeLessThan(SEATS);
    for (const seat of staying) seat.close();
  },
  DEADLINE_MS,
);
