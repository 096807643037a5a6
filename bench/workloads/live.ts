import { nextOffset, pause, push, readAt, tail } from "../live.ts";
import { bodyOf, DOCUMENT } from "../pushes.ts";
import { drey, hono } from "../sides.ts";
import { appendTo, durableStreams, fillStream, isTheirs, readStream, theirs } from "../streams.ts";
import { type Line, type Turn, workload } from "../workload.ts";
import { type Home, homes } from "../world.ts";

const PAIRS = 4;
/** Nobody pushes in the moment in which somebody begins to wait. */
const APART_MS = 20;
const offsets = new Map<string, string>();

const sides = [drey(), hono(), durableStreams()];

export default workload<Home[]>({
  name: "live",
  about:
    "From the answer to a push of one document to the answer of a long-poll that waited for it. Four pairs, each with a workspace.",
  sides,
  connections: PAIRS,
  lines: 2,
  status: 200,
  targets: [{ figure: "p95", most: 50, means: "p95 ms from the push's answer to the reader" }],
  prepare: async (world, api, _rounds, apis) => {
    for (let pair = 0; pair < PAIRS; pair += 1) await fillStream(theirs(sides, apis), streamOf(pair), "[]");
    return homes(world, api, PAIRS);
  },
  request: () => "",
  perform: async (places, turn, [writer, reader]) => {
    const place = places[turn.connection] as Home;
    const key = `${turn.run}-${turn.connection}`;
    const offset = offsets.get(key) ?? (await begin(place, turn, reader as Line));
    const heard = (reader as Line)
      .send(waits(place, turn, offset))
      .then((received) => ({ received, at: performance.now() }));
    await pause(APART_MS);
    const pushed = await (writer as Line).send(writes(place, turn));
    const answered = performance.now();
    const { received, at } = await heard;
    offsets.set(key, nextOffset(received));
    // Their server answers an append with 204.
    const isGood = pushed.status === 200 || (isTheirs(turn) && pushed.status === 204);
    return { received: isGood ? received : pushed, ms: Math.max(0, at - answered) };
  },
});

function streamOf(pair: number): string {
  return `/pair-${pair}`;
}

function begin(place: Home, turn: Turn, reader: Line): Promise<string> {
  return isTheirs(turn) ? Promise.resolve("now") : tail(place, reader);
}

function waits(place: Home, turn: Turn, offset: string): Buffer {
  return isTheirs(turn) ? readStream(streamOf(turn.connection), offset, true) : readAt(place, offset, true);
}

function writes(place: Home, turn: Turn): Buffer {
  if (!isTheirs(turn)) return push(place, bodyOf(place.workspace, turn, 1));
  const message = {
    type: "request",
    key: `request/${turn.n}`,
    value: DOCUMENT,
    headers: { operation: "upsert" },
  };
  return appendTo(streamOf(turn.connection), JSON.stringify([message]));
}
