import { randomUUID } from "node:crypto";
import { fillLog, scopesOf } from "../../dev/log_rows.ts";
import { toUuid } from "../peers/reads/typeid.ts";
import { drey, hono } from "../sides.ts";
import { http, workload } from "../workload.ts";
import { type Home, home } from "../world.ts";

const CHANGES = 10_000;
/** Both sides answer so many messages at once: 600 bytes each and what a message has around it are less than 1 MiB. */
const CHUNK = 1000;

export default workload<Home & { scope: string }>({
  name: "catchup10000",
  about: `Read the log of 10,000 documents of 600 bytes each from its beginning, chunk by chunk: a request is ${CHUNK} documents.`,
  sides: [drey(), hono(), hono({}, { JSON_IN_SQL: "true" }, "hono+sqljson")],
  connections: 4,
  status: 200,
  queries: 1,
  targets: [{ figure: "rps", peer: "hono", least: 2, means: "documents/s" }],
  prepare: async (world, api) => {
    const place = await home(world, api);
    const workspace = toUuid("ws", place.workspace) ?? "";
    const fill = { workspace, user: randomUUID(), changes: CHANGES, scopes: 1, perEntity: 1, bytes: 600 };
    await fillLog(world.services.database.url, fill);
    return { ...place, scope: scopesOf(fill)[0] ?? "" };
  },
  // Each connection is a reader who begins anew when he is through.
  request: ({ token, workspace, scope }, { own }) => {
    const after = (own * CHUNK) % CHANGES;
    const offset = after === 0 ? "-1" : `1_${String(after).padStart(16, "0")}`;
    const path = `/v1/workspaces/${workspace}/sync/collection/${scope}?offset=${offset}`;
    return http("GET", path, { authorization: `Bearer ${token}` });
  },
});
