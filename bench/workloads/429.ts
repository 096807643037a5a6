import { answerOnly } from "../bounds.ts";
import { drey, hono } from "../sides.ts";
import { http, once, workload } from "../workload.ts";
import { type Home, home } from "../world.ts";

const LIMITED = { READS_PER_MINUTE: "0.01" };

export default workload<Home>({
  name: "429",
  about: "A caller who has used up his limit calls on: a problem, Retry-After, no other work.",
  sides: [
    drey({}, { relaxed: { base: 1, burst: 1, window_ms: 3_600_000 } }),
    // One call in a hundred minutes is more than a bucket of one minute holds: nobody is let in.
    hono({}, LIMITED),
    // drey writes no line of a refusal that it repeats.
    hono({}, { ...LIMITED, LOG_LEVEL: "warn" }, "hono+quiet"),
    answerOnly("limited", { LOG_LEVEL: "warn" }),
  ],
  connections: 32,
  status: 429,
  counted: { status: 200, limit: Number.POSITIVE_INFINITY },
  targets: [{ figure: "rps", peer: "hono", least: 3 }],
  prepare: home,
  request: once(({ token, workspace }) =>
    http("GET", `/v1/workspaces/${workspace}/projects`, { authorization: `Bearer ${token}` }),
  ),
});
