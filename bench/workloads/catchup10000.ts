import { randomUUID } from "node:crypto";
import { fillLog, scopesOf } from "../../dev/log_rows.ts";
import { toUuid } from "../peers/reads/typeid.ts";
import { drey, hono } from "../sides.ts";
import { durableStreams, fillStream, isTheirs, readStream, theirs } from "../streams.ts";
import { http, workload } from "../workload.ts";
import { type Home, home } from "../world.ts";

const CHANGES = 10_000;
/** Both sides answer so many messages at once: 600 bytes each and what a message has around it are less than 1 MiB. */
const CHUNK = 1000;

const sides = [
  drey(),
  hono(),
  hono({}, { JSON_IN_SQL: "true" }, "hono+sqljson"),
  hono({}, { CACHE_PAGES: "true" }, "hono+cache"),
  durableStreams(),
];

export default workload<Log>({
  name: "catchup10000",
  about: `Read the log of 10,000 documents of 600 bytes each from its beginning, chunk by chunk: a request is ${CHUNK} documents.`,
  sides,
  connections: 4,
  status: 200,
  queries: 1,
  targets: [{ figure: "rps", peer: "hono", least: 2, means: "documents/s" }],
  prepare: async (world, api, _rounds, apis) => {
    const place = await home(world, api);
    const workspace = toUuid("ws", place.workspace) ?? "";
    const fill = { workspace, user: randomUUID(), changes: CHANGES, scopes: 1, perEntity: 1, bytes: 600 };
    await fillLog(world.services.database.url, fill);
    const log = { ...place, scope: scopesOf(fill)[0] ?? "" };
    for (let after = 0; after < CHANGES; after += CHUNK)
      await copyChunk(api, log, after, theirs(sides, apis));
    return log;
  },
  // Each connection is a reader who begins anew when he is through.
  request: (log, turn) => {
    const after = (turn.own * CHUNK) % CHANGES;
    if (isTheirs(turn)) return readStream(streamOf(after), "-1");
    return http("GET", chunkOf(log, after), { authorization: `Bearer ${log.token}` });
  },
});

type Log = Home & { scope: string };

function chunkOf({ workspace, scope }: Log, after: number): string {
  const offset = after === 0 ? "-1" : `1_${String(after).padStart(16, "0")}`;
  return `/v1/workspaces/${workspace}/sync/collection/${scope}?offset=${offset}`;
}

/** Their server answers all that there is at once: there, each chunk is a stream. */
function streamOf(after: number): string {
  return `/chunk-${after}`;
}

async function copyChunk(api: string, log: Log, after: number, to: string | undefined): Promise<void> {
  const headers = { authorization: `Bearer ${log.token}` };
  const answer = await fetch(`${api}${chunkOf(log, after)}`, { headers });
  await fillStream(to, streamOf(after), await answer.text());
}
