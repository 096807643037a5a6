import { answerOnly } from "../bounds.ts";
import { drey, hono, plain } from "../sides.ts";
import { http, once, workload } from "../workload.ts";

export default workload({
  name: "hello",
  about:
    "GET /healthz: no credential, no limit, no log line; request id and security headers but from hono-bare.",
  sides: [drey(), hono(), plain(), answerOnly("hello", { LOG_LEVEL: "warn" })],
  connections: 32,
  status: 200,
  queries: 0,
  targets: [{ figure: "rps", peer: "hono", least: 0.95 }],
  prepare: async () => ({}),
  request: once(() => http("GET", "/healthz")),
});
