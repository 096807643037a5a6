import { drey, hono } from "../sides.ts";
import { http, once, workload } from "../workload.ts";

export default workload({
  name: "cold",
  about: "From the start of workerd to its first answer (GET /healthz), with Postgres and the stand-ins up.",
  sides: [drey(), hono()],
  cold: true,
  connections: 1,
  status: 200,
  targets: [{ figure: "p50", peer: "hono", most: 1.3, means: "time" }],
  prepare: async () => ({}),
  request: once(() => http("GET", "/healthz")),
});
