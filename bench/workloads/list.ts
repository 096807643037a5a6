import { sqlOnly } from "../bounds.ts";
import { drey, hono } from "../sides.ts";
import { http, workload } from "../workload.ts";
import { addProjects, type Home, home } from "../world.ts";

export default workload<Home>({
  name: "list",
  about:
    "The list of projects with no copy anywhere: one round trip to Postgres. The Cache API is asked on both sides, and keeps nothing.",
  sides: [drey({ cache: false }), hono({ cache: false }), sqlOnly(), sqlOnly("cache")],
  connections: 16,
  // As in `push*`: until then V8 compiles beside them.
  warmup: 6,
  status: 200,
  queries: 1,
  uncached: true,
  targets: [{ figure: "rps", peer: "hono", least: 1.1 }],
  prepare: async (world, api) => {
    const place = await home(world, api);
    await addProjects(api, place, 10);
    return place;
  },
  // The unknown parameter makes each a question of its own.
  request: ({ token, workspace }, { run, n }) =>
    http("GET", `/v1/workspaces/${workspace}/projects?limit=10&bench=${run}-${n}`, {
      authorization: `Bearer ${token}`,
    }),
});
