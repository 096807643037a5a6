/** What a room workload is: so many clients, some of whom move, at a rate that both sides keep up with. */
import { randomUUID } from "node:crypto";
import { sendsOnly } from "./bounds.ts";
import { grownBy, nameOf, type Sizes } from "./growth.ts";
import type { DialectName } from "./load/dialects.ts";
import { drey, partyserver } from "./sides.ts";
import type { Side, Target } from "./workload.ts";
import { home, person, type World } from "./world.ts";

/** How many of a room move, and how often. */
interface Movement {
  speakers: number;
  /** Updates of each speaker a second. */
  hz: number;
}

export interface Room extends Movement {
  name: string;
  /** One sentence. */
  about: string;
  size: number;
  sides: RoomSide[];
  targets: Target[];
}

export interface RoomSide extends Side {
  dialect: DialectName;
  /** If it is not the workload's. */
  size?: number;
  /** Arranges a room; who has the token may join it. */
  prepare(world: World, api: string): Promise<{ room: string; token: string }>;
}

/**
 * drey's room takes a thousand; all of them are one user here, so his seats are not what bounds it. Who waits for the other
 * sides' turns says nothing, for longer than a room believes in him by default.
 */
const SEATS = { PRESENCE_MAX_PER_USER: "1000", PRESENCE_TTL_MS: "600000" };
/** Of a small room, and by how much one of a thousand has a longer one. */
const TICK_MS = 33;

/** `bound`: beside a room that only sends, too. */
export function room(
  { size, speakers, hz }: Movement & { size: number },
  { name = `presence${size}`, bound = false } = {},
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
    targets: targetsOf(size),
  };
}

/** Twice the pairs a second of processor time from a hundred on, and 95 of a hundred within two ticks. */
function targetsOf(size: number): Target[] {
  const ticks: Target = { figure: "p95", most: Math.round(2 * TICK_MS * (1 + size / 1000)) };
  const pairs: Target = { figure: "cpu", peer: "partyserver", most: 0.5, means: "cpu per pair" };
  return size < 100 ? [ticks] : [pairs, ticks];
}

/** drey beside itself: rooms of these sizes, in which the same number move. */
export function grown(sizes: Sizes, { speakers, hz }: Movement): Room {
  return {
    name: "growth-sockets",
    about: `${speakers} of so many show ${hz} states of 200 bytes a second to everybody: per (receiver, peer) pair.`,
    size: Math.max(...sizes),
    speakers,
    hz,
    sides: sizes.toReversed().map((size) => {
      return { ...drey({}, {}, SEATS, nameOf(size)), size, dialect: "drey", prepare: workspace };
    }),
    targets: [grownBy(sizes)],
  };
}

async function workspace(world: World, api: string): Promise<{ room: string; token: string }> {
  const { workspace: room, token } = await home(world, api);
  return { room, token };
}

/** A room is there as soon as somebody names it. */
async function anyRoom(world: World): Promise<{ room: string; token: string }> {
  return { room: randomUUID(), token: (await person(world)).token };
}
