/** A thousand in a room of four objects: everybody ends up knowing the same, through restarts of a shard and of the room. */
import { expect, test } from "vitest";
import { home, member } from "./actors.ts";
import { agreed, crowd, everybody, gone } from "./seats.ts";
import { world } from "./world.ts";

const SEATS = 1_000;
const OBJECTS = 4;
/** Four times what it takes on two busy cores. */
const DEADLINE_MS = 240_000;

test(
  "a thousand in four objects join, update and leave, and an eviction of any loses nobody",
  async () => {
    await using cell = await world().restart({
      PRESENCE_MAX_PEERS: String(SEATS / OBJECTS),
      PRESENCE_MAX_SHARDS: String(OBJECTS),
      PRESENCE_MAX_PER_USER: String(SEATS),
      LIMIT_SCALE: "100",
    });
    const place = await home(cell.api);
    const seats = await crowd([place.owner, await member(place, "viewer")], place, SEATS);
    for (const seat of seats) seat.update(1, { at: 1 });
    await agreed(seats, 1, DEADLINE_MS);
    await gone(cell, "PresenceShard", `${place.id}/2`);
    for (const seat of seats) seat.update(2, { at: 2 });
    await agreed(seats, 2, DEADLINE_MS);
    await gone(cell, "WorkspacePresence", place.id);
    const [leaving, staying] = [seats.slice(0, SEATS / 2), seats.slice(SEATS / 2)];
    for (const seat of leaving) seat.close();
    for (const seat of staying) seat.update(3, { at: 3 });
    await agreed(staying, 3, DEADLINE_MS);
    expect(staying.filter((seat) => seat.end)).toEqual([]);
    expect(await everybody(place.owner, place)).toEqual(staying.map((seat) => seat.clientId).sort());
    for (const seat of staying) seat.close();
  },
  DEADLINE_MS,
);
