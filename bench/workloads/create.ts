import { sqlOnly } from "../bounds.ts";
import { drey, hono } from "../sides.ts";
import { http, workload } from "../workload.ts";
import { type Home, homes } from "../world.ts";

const CALLERS = 16;

export default workload<Home[]>({
  name: "create",
  about: "POST a project with an Idempotency-Key. Each connection is a caller with a workspace of his own.",
  sides: [drey(), hono(), sqlOnly(), sqlOnly("answer")],
  connections: CALLERS,
  // As in `push*`: until then V8 compiles beside them.
  warmup: 6,
  status: 201,
  queries: 1,
  targets: [{ figure: "rps", peer: "hono", least: 1 }],
  prepare: (world, api) => homes(world, api, CALLERS),
  request: (places, { connection, run, n }) => {
    const { token = "", workspace = "" } = places[connection] ?? {};
    const headers = { authorization: `Bearer ${token}`, "idempotency-key": `"${run}-${n}"` };
    const body = JSON.stringify({ name: `P ${run} ${n}`, description: "Made by the bench." });
    return http("POST", `/v1/workspaces/${workspace}/projects`, headers, body);
  },
});
