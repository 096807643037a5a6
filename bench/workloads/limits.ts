import { ceiling, limiters } from "../limiters.ts";
import { drey } from "../sides.ts";
import { http, once, workload } from "../workload.ts";
import { type Home, home, UNLIMITED } from "../world.ts";

const HOUR_MS = 3_600_000;

export default workload<Home>({
  name: "limits",
  about:
    "Decisions on one hot key. drey reads a cached workspace (credential, role, three buckets, answer); the peers only limit.",
  sides: [drey(), ceiling(), ...limiters({ limit: UNLIMITED, windowMs: HOUR_MS })],
  connections: 32,
  status: 200,
  queries: 0,
  prepare: home,
  request: once(({ token, workspace }) =>
    http("GET", `/v1/workspaces/${workspace}`, { authorization: `Bearer ${token}` }),
  ),
});
