import { grownBy, type Sizes, sidesOf, sizeOf } from "../growth.ts";
import { http, workload } from "../workload.ts";
import { type Home, home, loadProjects } from "../world.ts";

const SIZES: Sizes = [100, 1000, 10_000];

export default workload<Record<number, Home>>({
  name: "growth-rows",
  about:
    "The uncached first page (10) of the projects of a workspace that has so many: one round trip to Postgres.",
  sides: sidesOf(SIZES, { cache: false }),
  connections: 16,
  status: 200,
  queries: 1,
  uncached: true,
  targets: [grownBy(SIZES)],
  prepare: async (world, api) => {
    const places: Record<number, Home> = {};
    for (const size of SIZES) {
      const place = await home(world, api);
      await loadProjects(world, place, size);
      places[size] = place;
    }
    return places;
  },
  // The unknown parameter makes each a question of its own.
  request: (places, { run, n, side }) => {
    const { workspace = "", token = "" } = places[sizeOf(side)] ?? {};
    const path = `/v1/workspaces/${workspace}/projects?limit=10&bench=${run}-${n}`;
    return http("GET", path, { authorization: `Bearer ${token}` });
  },
});
