import { nextOffset, pause, push, type Reader, readAt, tail, worst } from "../live.ts";
import { bodyOf } from "../pushes.ts";
import { drey, hono } from "../sides.ts";
import { type Line, type Received, workload } from "../workload.ts";
import { addViewers, type Home, home, type Person } from "../world.ts";

const READERS = 1000;
/** They come so many at a time: a thousand strangers at once would be turned away, as everywhere. */
const COMING = 25;
const APART_MS = 15;
/** The first time, when each is still to prove that he may read. */
const STRANGERS_APART_MS = 350;
/** All of them are there, and the processors are quiet again. */
const SETTLED_MS = 300;
const offsets = new Map<string, string>();

export default workload<Home & { readers: Person[] }>({
  name: "readers",
  about: `One push while ${READERS} people wait for it by long-poll: until the last one has it. Queries are those of the whole turn.`,
  sides: [drey(), hono()],
  connections: 1,
  lines: 1 + READERS,
  requests: 2,
  status: 200,
  // A turn has more than its push: a thousand come again, and gates look at their roles anew.
  targets: [{ figure: "queriesInAll", peer: "hono", most: 0.05, means: "queries per turn" }],
  prepare: async (world, api) => {
    const place = await home(world, api);
    return { ...place, readers: await addViewers(world, place, READERS) };
  },
  request: () => "",
  perform: async ({ readers, ...place }, turn, [writer, ...lines]) => {
    const offset = offsets.get(turn.run) ?? (await tail(place, writer as Line));
    const people = readers.map(({ token }) => ({ token, workspace: place.workspace }));
    const strangers = turn.round === 0 && turn.own === 0;
    if (strangers) await arrive(people, lines);
    const apart = strangers ? STRANGERS_APART_MS : APART_MS;
    const waiting: Promise<Received>[] = [];
    for (const [n, line] of lines.entries()) {
      waiting.push(line.send(readAt(people[n] as Reader, offset, true)));
      if (waiting.length % COMING === 0) await pause(apart);
    }
    await pause(SETTLED_MS);
    const pushed = await (writer as Line).send(push(place, bodyOf(place.workspace, turn, 1)));
    const answered = performance.now();
    const heard = await Promise.all(waiting);
    offsets.set(turn.run, nextOffset(pushed.status === 200 ? (heard[0] ?? pushed) : pushed));
    return { received: worst([pushed, ...heard]), ms: performance.now() - answered };
  },
});

/** Everybody has called once: his token is verified, his account and his role are known. */
async function arrive(people: Reader[], lines: Line[]): Promise<void> {
  for (let at = 0; at < people.length; at += COMING) {
    await Promise.all(people.slice(at, at + COMING).map((reader, n) => tail(reader, lines[at + n] as Line)));
  }
}
