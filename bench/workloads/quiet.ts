import { drey, hono } from "../sides.ts";
import { workload } from "../workload.ts";
import type { Home } from "../world.ts";
import reads from "./reads.ts";

const QUIET = { LOG_LEVEL: "warn" };

export default workload<Home>({
  ...reads,
  name: "quiet",
  about:
    "The cached read without a log line on either side: here a line goes through a pipe, in production not.",
  sides: [drey({}, {}, QUIET), hono({}, QUIET), hono({}, { MEMORY_CACHE: "true", ...QUIET }, "hono+map")],
});
