import { bodyOf } from "../pushes.ts";
import { drey, hono } from "../sides.ts";
import { durableStreams, fillStream, isTheirs, readStream, theirs } from "../streams.ts";
import { http, once, workload } from "../workload.ts";
import { call, type Home, home } from "../world.ts";

const sides = [drey(), hono(), hono({}, { JSON_IN_SQL: "true" }, "hono+sqljson"), durableStreams()];

export default workload<Home>({
  name: "catchup500",
  about: "Read the log of 500 documents of 600 bytes each from its beginning: one round trip, about 400 KB.",
  sides,
  connections: 4,
  status: 200,
  queries: 1,
  prepare: async (world, api, _rounds, apis) => {
    const place = await home(world, api);
    for (let own = 0; own < 5; own += 1) {
      const body = JSON.parse(bodyOf(place.workspace, { run: "fill", connection: 0, own }, 100));
      await call(api, place.token, "POST", `/v1/workspaces/${place.workspace}/sync/push`, body);
    }
    const answer = await fetch(`${api}${logOf(place)}`, {
      headers: { authorization: `Bearer ${place.token}` },
    });
    await fillStream(theirs(sides, apis), STREAM, await answer.text());
    return place;
  },
  request: (place, turn) => (isTheirs(turn) ? theirLog(place) : ourLog(place)),
});

const STREAM = "/log";

function logOf({ workspace }: Home): string {
  return `/v1/workspaces/${workspace}/sync/workspace/${workspace}?offset=-1`;
}

const ourLog = once((place: Home) => http("GET", logOf(place), { authorization: `Bearer ${place.token}` }));
const theirLog = once(() => readStream(STREAM, "-1"));
