import { drey, hono } from "../sides.ts";
import { http, workload } from "../workload.ts";
import { addProjects, addViewers, type Home, home, type Person } from "../world.ts";

/** Every round has callers of its own; both sides see the same ones, each for the first time. */
const CALLERS = 1500;

export default workload<{ place: Home; people: Person[] }>({
  name: "first",
  about:
    "The first call of a caller nobody here has seen: signature, user, role, limit, then the list of projects.",
  sides: [drey(), hono()],
  connections: 16,
  requests: CALLERS,
  status: 200,
  targets: [{ figure: "rps", peer: "hono", least: 0.8 }],
  prepare: async (world, api, rounds) => {
    const place = await home(world, api);
    await addProjects(api, place, 10);
    return { place, people: await addViewers(world, place, CALLERS * (rounds + 1)) };
  },
  request: ({ place, people }, { round, n }) => {
    const authorization = `Bearer ${people[round * CALLERS + n]?.token}`;
    return http("GET", `/v1/workspaces/${place.workspace}/projects`, { authorization });
  },
});
