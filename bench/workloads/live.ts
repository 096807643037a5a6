import { nextOffset, pause, push, readAt, tail, worst } from "../live.ts";
import { bodyOf } from "../pushes.ts";
import { drey, hono } from "../sides.ts";
import { type Line, workload } from "../workload.ts";
import { type Home, homes } from "../world.ts";

const PAIRS = 4;
/** Nobody pushes in the moment in which somebody begins to wait. */
const APART_MS = 20;
const offsets = new Map<string, string>();

export default workload<Home[]>({
  name: "live",
  about:
    "From the answer to a push of one document to the answer of a long-poll that waited for it. Four pairs, each with a workspace.",
  sides: [drey(), hono()],
  connections: PAIRS,
  lines: 2,
  status: 200,
  targets: [{ figure: "p95", most: 50, means: "p95 ms from the push's answer to the reader" }],
  prepare: (world, api) => homes(world, api, PAIRS),
  request: () => "",
  perform: async (places, turn, [writer, reader]) => {
    const place = places[turn.connection] as Home;
    const key = `${turn.run}-${turn.connection}`;
    const offset = offsets.get(key) ?? (await tail(place, reader as Line));
    const heard = (reader as Line)
      .send(readAt(place, offset, true))
      .then((received) => ({ received, at: performance.now() }));
    await pause(APART_MS);
    const pushed = await (writer as Line).send(push(place, bodyOf(place.workspace, turn, 1)));
    const answered = performance.now();
    const { received, at } = await heard;
    offsets.set(key, nextOffset(received));
    return { received: worst([pushed, received]), ms: Math.max(0, at - answered) };
  },
});
