/**
 * Runs one room workload: both rooms are filled once and stay so, then one moves after the other, A B A B ….
 */
import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Cell } from "./cells.ts";
import type { Moved, Offering, Opening } from "./load/room.ts";
import { type Budget, type Figures, type Result, ratiosOf, type SideResult } from "./measure.ts";
import { calm, cpuMs, load as loadAverage, peakMb, residentKb } from "./proc.ts";
import { profiled } from "./profile.ts";
import type { Room, RoomSide } from "./room.ts";
import { only, runRounds } from "./rounds.ts";
import { reachedOf } from "./targets.ts";
import type { World } from "./world.ts";

/** A state that is shown later than this is late. */
const FRESH_MS = 100;
/** After the last client has come, until nothing moves. */
const QUIET_MS = 1_000;
/** Clients of the room in which a process warms up: enough for V8 to compile anew whatever runs once for each that comes. */
const WARMING = 100;
/** A room that was offered more than it keeps up with works on: that is its own time, and not the other side's. */
const PATIENCE_MS = 30_000;

interface Running extends SideResult {
  side: RoomSide;
  cell: Cell;
}

export async function measureRoom(
  world: World,
  room: Room,
  budget: Budget,
  progress: (step: string) => void,
): Promise<Result> {
  const before = loadAverage();
  const running: Running[] = [];
  const crowds = new Crowds();
  try {
    for (const side of room.sides) {
      progress(`filling ${side.name}`);
      running.push(await filled(world, room, side, crowds));
    }
    const kept = await runRounds(budget, progress, async (round) => {
      for (const one of running) {
        const figures = await move(room, one, crowds, round === 0 ? budget.warmup : budget.seconds);
        if (round > 0) one.rounds.push(figures);
      }
    });
    const sides = running.map(({ side: _side, cell, rounds, ...result }) => {
      return { ...result, rounds: only(rounds, kept), peakMb: peakMb(cell.pid) };
    });
    const { name, about } = room;
    const ratios = ratiosOf(sides);
    const targets = reachedOf(room.targets, sides, ratios);
    return { workload: name, about, load: [before, loadAverage()], kept, sides, ratios, targets };
  } finally {
    await crowds.stop();
    await Promise.all(running.map(({ cell }) => cell.stop()));
  }
}

/** A room that moves under V8's profiler, on each side. */
export async function profileRoom(world: World, room: Room, budget: Budget): Promise<string> {
  const texts: string[] = [];
  for (const side of room.sides) {
    const crowds = new Crowds();
    const one = await filled(world, room, side, crowds);
    try {
      await move(room, one, crowds, budget.warmup);
      const work = () => move(room, one, crowds, budget.seconds);
      const text = await profiled(one.cell.inspector ?? "", `${room.name}-${side.name}`, work);
      texts.push(`${room.name}, ${side.name}\n${text}`);
    } finally {
      await crowds.stop();
      await one.cell.stop();
    }
  }
  return texts.join("\n\n");
}

async function filled(world: World, room: Room, side: RoomSide, crowds: Crowds): Promise<Running> {
  const started = performance.now();
  const cell = await side.start(world);
  const startMs = performance.now() - started;
  const url = cell.apis[0] ?? "";
  try {
    const { dialect, size = room.size } = side;
    const open = async (name: string, most: number) =>
      crowds.open(name, { ...(await side.prepare(world, url)), url, dialect, size: most });
    await open(`${side.name}, warming`, WARMING);
    await crowds.fill(`${side.name}, warming`, WARMING);
    await open(side.name, size);
    const some = Math.ceil(size / 10);
    const before = await resident(crowds, cell, side, some);
    const idleKb = ((await resident(crowds, cell, side, size)) - before) / (size - some);
    return { side, cell, name: side.name, rounds: [], peakMb: 0, startMs, idleKb };
  } catch (error) {
    await cell.stop();
    throw new Error(`${room.name}: the room of ${side.name} could not be filled`, { cause: error });
  }
}

/**
 * What the process holds with so many idle sockets. What is started and compiled once is nobody's own: another room has paid for
 * it, which stays as it is, and so have the first ones of this room for the room.
 */
async function resident(crowds: Crowds, { pid }: Cell, side: RoomSide, sockets: number): Promise<number> {
  await crowds.fill(side.name, sockets);
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  return residentKb(pid);
}

async function move(room: Room, { cell, side }: Running, crowds: Crowds, seconds: number): Promise<Figures> {
  const { speakers, hz } = room;
  const before = cpuMs(cell.pid);
  const moved = await crowds.offer(side.name, { speakers, hz, seconds, fresh_ms: FRESH_MS });
  await calm(cell.pid, PATIENCE_MS);
  return figuresOf(moved, cpuMs(cell.pid) - before);
}

/** A pair that shows the newest state in time is to a room what a good answer is to other workloads. */
function figuresOf({ fresh, pairs, bytes, seconds, p50, p95, p99, busy }: Moved, cpu: number): Figures {
  const none = { queries: 0, queriesInAll: 0, hops: null, over: null };
  const times = { p50, p95, p99, cpu: cpu / fresh };
  return {
    rps: fresh / seconds,
    ...times,
    ...none,
    bytes: bytes / fresh,
    requests: fresh,
    fresh: fresh / pairs,
    busy,
  };
}

/** The thread that moves; it does one thing at a time. */
class Crowds {
  readonly #thread = new Worker(join(import.meta.dirname, "load", "room.ts"));

  async open(name: string, open: Opening): Promise<void> {
    await this.#order(name, { open });
  }

  async fill(name: string, fill: number): Promise<void> {
    await this.#order(name, { fill });
  }

  offer(name: string, offer: Offering): Promise<Moved> {
    return this.#order(name, { offer }) as Promise<Moved>;
  }

  async stop(): Promise<void> {
    await this.#thread.terminate();
  }

  async #order(name: string, order: object): Promise<unknown> {
    this.#thread.postMessage({ name, order });
    const [{ done, error }] = (await once(this.#thread, "message")) as [{ done?: unknown; error?: string }];
    if (error) throw new Error(`${name}: ${error}`);
    return done;
  }
}
