/** What a room workload is: so many clients, some of whom move, at a rate that both sides keep up with. */
import { sendsOnly } from "./bounds.ts";
import type { DialectName } from "./load/dialects.ts";
import { drey, partyserver } from "./sides.ts";
import type { Side } from "./workload.ts";
import { home, person, type World } from "./world.ts";

export interface Room {
  name: string;
  /** One sentence. */
  about: string;
  size: number;
  speakers: number;
  /** Updates of each speaker a second. */
  hz: number;
  sides: RoomSide[];
}

export interface RoomSide extends Side {
  dialect: DialectName;
  /** Arranges a room; who has the token may join it. */
  prepare(world: World, api: string): Promise<{ room: string; token: string }>;
}

/** drey's room takes a thousand; all of them are one user here, so his seats are not what bounds it. */
const SEATS = { PRESENCE_MAX_PER_USER: "1000" };

/** `bound`: beside a room that only sends, too. */
export function room(
  { size, speakers, hz }: Pick<Room, "size" | "speakers" | "hz">,
  name = `presence${size}`,
  bound = false,
): Room {
  const rate = speakers * hz;
  return {
    name,
    about: `A room of ${size}: ${speakers} of them show ${hz} states of 200 bytes a second, ${rate} in all, to everybody.`,
    size,
    speakers,
    hz,
    sides: [
      { ...drey({}, {}, SEATS), dialect: "drey", prepare: workspace },
      { ...partyserver(), dialect: "partyserver", prepare: anyRoom },
      ...(bound ? [{ ...sendsOnly(), dialect: "partyserver" as const, prepare: anyRoom }] : []),
    ],
  };
}

async function workspace(world: World, api: string): Promise<{ room: string; token: string }> {
  const { workspace: room, token } = await home(world, api);
  return { room, token };
}

/** A room is there as soon as somebody names it. */
async function anyRoom(world: World): Promise<{ room: string; token: string }> {
  return { room: "bench", token: (await person(world)).token };
}
