/**
 * Two databases beside the bench's own, with logs of very different size: half of the changes in one scope, half in scopes
 * of two thousand. They are filled once a run, by COPY. `--rows` says how large the large one is.
 */
import { randomUUID } from "node:crypto";
import { prepareDatabase, uniqueName } from "../dev/database.ts";
import { fillLog, scopesOf } from "../dev/log_rows.ts";
import { startDrey } from "./cells.ts";
import { toUuid } from "./peers/reads/typeid.ts";
import { inspected } from "./sides.ts";
import { http, type Side, type Turn } from "./workload.ts";
import { dreyVars, type Home, home, type World } from "./world.ts";

export const SMALL = 100_000;
export const LARGE = Number(process.env.BENCH_ROWS ?? 1_000_000);
const EACH = 2000;

/** A log, and who may read it. */
export interface Log {
  token: string;
  workspace: string;
  scope: string;
  epochs: number;
}

/** By the name of the side. */
export type Logs = Record<string, Log[]>;

const small = `drey at ${SMALL.toLocaleString("en")}`;
const sizes: Record<string, number> = { drey: LARGE, [small]: SMALL };
const databases = new Map<string, Promise<{ url: string; appUrl: string }>>();
const logs = new Map<string, Promise<Log[]>>();

/** drey on the large database, and drey on the small one: what it is compared with. */
export const sides: Side[] = Object.keys(sizes).map((name) => ({
  name,
  start: async (world) => {
    const { appUrl } = await databaseOf(name, world);
    const vars = dreyVars(world);
    const connection = new URL(vars.NEON_CONNECTION_STRING ?? "");
    connection.pathname = new URL(appUrl).pathname;
    // Copies would hide what this is about.
    return startDrey(world.drey, {
      vars: { ...vars, NEON_CONNECTION_STRING: connection.href },
      cache: false,
      ...inspected(),
    });
  },
}));

export const targets = [
  { figure: "p50" as const, peer: small, most: 1.3, means: `p50 at ${LARGE.toLocaleString("en")} rows` },
];

function databaseOf(name: string, { services }: World) {
  const made = databases.get(name) ?? prepareDatabase(services.serverUrl, uniqueName("bench"));
  databases.set(name, made);
  return made;
}

export async function fillAll(world: World, apis: string[]): Promise<Logs> {
  const filled: Logs = {};
  for (const [index, [name, changes]] of Object.entries(sizes).entries()) {
    const done = logs.get(name) ?? fill(world, name, apis[index] ?? "", changes);
    logs.set(name, done);
    filled[name] = await done;
  }
  return filled;
}

async function fill(world: World, name: string, api: string, changes: number): Promise<Log[]> {
  const { url } = await databaseOf(name, world);
  const half = changes / 2;
  const one = await filled(url, await home(world, api), half, 1);
  const many = await filled(url, await home(world, api), half, half / EACH);
  // As many of each kind, so that turns meet both.
  return many.slice(0, 100).flatMap((log) => [log, ...one]);
}

async function filled(
  url: string,
  { token, workspace }: Home,
  changes: number,
  scopes: number,
): Promise<Log[]> {
  const fill = { workspace: toUuid("ws", workspace) ?? "", user: randomUUID(), changes, scopes };
  await fillLog(url, fill);
  return scopesOf(fill).map((scope) => ({ token, workspace, scope, epochs: changes / scopes }));
}

/** A read of one of the side's logs, after the epoch that `from` chooses; `share` is spread evenly over turns. */
export function readOf(
  logs: Logs,
  { side, n, round }: Turn,
  from: (epochs: number, share: number) => number,
): Buffer {
  const own = logs[side] ?? [];
  const { token, workspace, scope, epochs } = own[n % own.length] as Log;
  // By the golden ratio no two turns ask for the same place, of which there might be a copy.
  const after = Math.floor(from(epochs, ((n + 10_000 * round) * 0.618_033_988_75) % 1));
  const offset = `1_${String(after).padStart(16, "0")}`;
  const path = `/v1/workspaces/${workspace}/sync/collection/${scope}?offset=${offset}`;
  return http("GET", path, { authorization: `Bearer ${token}` });
}
