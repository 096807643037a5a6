import { drey, hono } from "../sides.ts";
import { http, once, workload } from "../workload.ts";
import { addProjects, type Home, home } from "../world.ts";

export default workload<Home>({
  name: "reads",
  about: "GET a workspace's ten projects again and again: authenticated, limited, cached.",
  sides: [drey(), hono(), hono({}, { MEMORY_CACHE: "true" }, "hono+map")],
  connections: 32,
  status: 200,
  queries: 0,
  targets: [{ figure: "rps", peer: "hono", least: 3 }],
  prepare: async (world, api) => {
    const place = await home(world, api);
    await addProjects(api, place, 10);
    return place;
  },
  request: once(({ token, workspace }) =>
    http("GET", `/v1/workspaces/${workspace}/projects`, { authorization: `Bearer ${token}` }),
  ),
});
