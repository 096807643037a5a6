import { nextOffset, pause, push, type Reader, readAt, tail, worst } from "../live.ts";
import { calm, cpuMs } from "../proc.ts";
import { bodyOf } from "../pushes.ts";
import { drey, hono } from "../sides.ts";
import { currentTrace, type Line, type Received, workload } from "../workload.ts";
import { addViewers, type Home, home, type Person } from "../world.ts";

const READERS = 1000;
/** They come so many at a time, and the next when the side has taken these in. */
const COMING = 100;
const TAKEN_IN_MS = 5_000;
/** Then all of them wait: neither the side nor Postgres has anything left to do. */
const SETTLED_MS = 20_000;
/** What a reader does who is turned away, because too many come at once. */
const AGAIN_MS = 1_000;
/** Nobody's wait is over before the last one has come. */
const LONG_POLL_MS = "60000";
/** Who has proved once that he may read need not do so again in each round. */
const FEED_ACCESS_MS = "600000";
const offsets = new Map<string, string>();

interface Crowd extends Home {
  readers: Person[];
  /** Of the stand-in of Neon. */
  counters: string;
}

export default workload<Crowd>({
  name: "readers",
  about: `One push while ${READERS} people wait for it by long-poll: until the last one has it, without their coming. Queries are those that the readers cause meanwhile, the push's own not among them.`,
  sides: [drey({}, {}, { FEED_LONG_POLL_MS: LONG_POLL_MS, FEED_ACCESS_MS }), hono({}, { LONG_POLL_MS })],
  connections: 1,
  lines: 1 + READERS,
  requests: 2,
  status: 200,
  targets: [{ figure: "queriesInAll", most: 1, means: "queries of all live readers per push" }],
  prepare: async (world, api) => {
    const place = await home(world, api);
    const counters = `${world.services.neon.admin}/counters`;
    return { ...place, counters, readers: await addViewers(world, place, READERS) };
  },
  request: () => "",
  perform: async ({ readers, counters, ...place }, turn, [writer, ...lines]) => {
    const offset = offsets.get(turn.run) ?? (await tail(place, writer as Line));
    const people = readers.map(({ token }) => ({ token, workspace: place.workspace }));
    const waiting = await comeToWait(people, lines, offset, turn.pid);
    await settled(counters, turn.pid);
    const [queries, cpu] = [await queriesOf(counters), cpuMs(turn.pid)];
    const begun = performance.now();
    const pushed = await (writer as Line).send(push(place, bodyOf(place.workspace, turn, 1)));
    const answered = performance.now();
    const heard = await Promise.all(waiting);
    const ended = performance.now();
    // One of them is the push.
    const part = { ms: ended - begun, queries: (await queriesOf(counters)) - queries - 1, cpu: 0 };
    await calm(turn.pid, TAKEN_IN_MS);
    part.cpu = cpuMs(turn.pid) - cpu;
    offsets.set(turn.run, nextOffset(pushed.status === 200 ? (heard[0] ?? pushed) : pushed));
    return { received: worst([pushed, ...heard]), ms: ended - answered, part };
  },
});

/** What everybody will be answered. */
async function comeToWait(
  people: Reader[],
  lines: Line[],
  offset: string,
  pid: number,
): Promise<Promise<Received>[]> {
  const waiting: Promise<Received>[] = [];
  for (let at = 0; at < people.length; at += COMING) {
    const some = people.slice(at, at + COMING);
    const coming = some.map((reader, n) => news(reader, lines[at + n] as Line, offset));
    // Whoever fails while others still come is found when all are asked for.
    for (const one of coming) one.catch(() => {});
    waiting.push(...coming);
    await calm(pid, TAKEN_IN_MS);
  }
  return waiting;
}

async function settled(counters: string, pid: number): Promise<void> {
  const deadline = performance.now() + SETTLED_MS;
  let [before, after] = [-1, 0];
  while (before !== after && performance.now() < deadline) {
    before = await queriesOf(counters);
    await calm(pid, TAKEN_IN_MS);
    after = await queriesOf(counters);
  }
}

/** Waits as a client does: who heard nothing in time asks again, and so does, a little later, who was turned away. */
async function news(reader: Reader, line: Line, offset: string): Promise<Received> {
  for (;;) {
    const received = await line.send(readAt(reader, offset, true));
    if (received.status !== 204 && received.status !== 503) return received;
    if (received.status === 503) await pause(AGAIN_MS);
  }
}

/**
 * Requests to Postgres so far: this load's, and those of feeds, which have no trace. What gates look at by themselves has a
 * trace of its own, and is there without readers too.
 */
async function queriesOf(counters: string): Promise<number> {
  const { requests, traces } = (await (await fetch(counters)).json()) as {
    requests: number;
    traces: Record<string, { requests: number }>;
  };
  const others = Object.entries(traces).filter(([trace]) => trace !== currentTrace());
  return requests - others.reduce((sum, [, count]) => sum + count.requests, 0);
}
