import { answerOnly } from "../bounds.ts";
import { limiters } from "../limiters.ts";
import { drey } from "../sides.ts";
import { http, once, workload } from "../workload.ts";
import { type Home, home, UNLIMITED } from "../world.ts";

const HOUR_MS = 3_600_000;
const QUIET = { LOG_LEVEL: "warn" };

export default workload<Home>({
  name: "limits",
  about:
    "Decisions on one hot key. drey reads a cached workspace (credential, role, three buckets, answer); the peers only limit.",
  // These peers write no log, so neither does drey here, nor the bound beside it; `drey+log` is drey as it comes.
  sides: [
    drey({}, {}, QUIET),
    answerOnly("read", QUIET),
    ...limiters({ limit: UNLIMITED, windowMs: HOUR_MS }),
    drey({}, {}, {}, "drey+log"),
  ],
  connections: 32,
  status: 200,
  queries: 0,
  prepare: home,
  request: once(({ token, workspace }) =>
    http("GET", `/v1/workspaces/${workspace}`, { authorization: `Bearer ${token}` }),
  ),
});
