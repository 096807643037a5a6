import { drey, hono } from "../sides.ts";
import { http, workload } from "../workload.ts";
import { addProjects, type Home, home } from "../world.ts";

export default workload<Home>({
  name: "304",
  about: "The cached read by a caller who has it already: If-None-Match.",
  sides: [drey(), hono(), hono({}, { MEMORY_CACHE: "true" }, "hono+map")],
  connections: 32,
  status: 304,
  queries: 0,
  targets: [{ figure: "rps", peer: "hono", least: 3 }],
  prepare: async (world, api) => {
    const place = await home(world, api);
    await addProjects(api, place, 10);
    return place;
  },
  probe: ({ token, workspace }) => ({ path: `/v1/workspaces/${workspace}/projects`, token }),
  request: ({ token, workspace }, { tag }) =>
    http("GET", `/v1/workspaces/${workspace}/projects`, {
      authorization: `Bearer ${token}`,
      "if-none-match": tag,
    }),
});
