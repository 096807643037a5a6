import { answerOnly } from "../bounds.ts";
import { drey, hono } from "../sides.ts";
import { http, once, workload } from "../workload.ts";
import { type Home, home } from "../world.ts";

export default workload<Home>({
  name: "429",
  about: "A caller who has used up his limit calls on: a problem, Retry-After, no other work.",
  sides: [
    drey({}, { relaxed: { base: 1, burst: 1, window_ms: 3_600_000 } }),
    // One a minute is refilled: one call in thousands is let through, and counted.
    hono({}, { READS_PER_MINUTE: "0.01" }),
    // drey writes no line of a refusal that it repeats.
    answerOnly("limited", { LOG_LEVEL: "warn" }),
  ],
  connections: 32,
  status: 429,
  counted: { status: 200, limit: Number.POSITIVE_INFINITY },
  prepare: home,
  request: once(({ token, workspace }) =>
    http("GET", `/v1/workspaces/${workspace}/projects`, { authorization: `Bearer ${token}` }),
  ),
});
