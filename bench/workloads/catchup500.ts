import { bodyOf } from "../pushes.ts";
import { drey, hono } from "../sides.ts";
import { http, once, workload } from "../workload.ts";
import { call, type Home, home } from "../world.ts";

export default workload<Home>({
  name: "catchup500",
  about: "Read the log of 500 documents of 600 bytes each from its beginning: one round trip, about 400 KB.",
  sides: [drey(), hono(), hono({}, { JSON_IN_SQL: "true" }, "hono+sqljson")],
  connections: 4,
  status: 200,
  queries: 1,
  prepare: async (world, api) => {
    const place = await home(world, api);
    for (let own = 0; own < 5; own += 1) {
      const body = JSON.parse(bodyOf(place.workspace, { run: "fill", connection: 0, own }, 100));
      await call(api, place.token, "POST", `/v1/workspaces/${place.workspace}/sync/push`, body);
    }
    return place;
  },
  request: once(({ token, workspace }) => {
    const path = `/v1/workspaces/${workspace}/sync/workspace/${workspace}?offset=-1`;
    return http("GET", path, { authorization: `Bearer ${token}` });
  }),
});
