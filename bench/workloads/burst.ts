import { limiters } from "../limiters.ts";
import { drey } from "../sides.ts";
import { http, workload } from "../workload.ts";
import { type Home, homes } from "../world.ts";

const HOUR_MS = 3_600_000;
const LIMIT = 100;
const ISOLATES = 3;

export default workload<Home[]>({
  name: "burst",
  about:
    "1,000 parallel calls of a fresh caller over three isolates against 100 an hour: how many too many are let in.",
  sides: [
    drey({ isolates: ISOLATES }, { relaxed: { base: LIMIT, burst: LIMIT, window_ms: HOUR_MS } }),
    ...limiters({ limit: LIMIT, windowMs: HOUR_MS }, ISOLATES),
  ],
  connections: 150,
  requests: 1000,
  status: 200,
  counted: { status: 429, limit: LIMIT },
  prepare: (world, api, rounds) => homes(world, api, rounds + 1),
  request: (places, { round }) => {
    const { workspace = "", token = "" } = places[round] ?? {};
    return http("GET", `/v1/workspaces/${workspace}`, { authorization: `Bearer ${token}` });
  },
});
