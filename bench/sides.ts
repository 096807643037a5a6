/** The sides that most workloads compare. */
import { type CellOptions, startDrey, startPeer } from "./cells.ts";
import type { Side } from "./workload.ts";
import { dreyVars, trust, UNLIMITED } from "./world.ts";

type Settings = Pick<CellOptions, "cache" | "isolates">;

export function drey(
  settings: Settings = {},
  limits: object = {},
  vars: Record<string, string> = {},
  name = "drey",
): Side {
  return {
    name,
    start: (world) =>
      startDrey(world.drey, {
        vars: { ...dreyVars(world, limits), ...vars },
        ...settings,
        ...inspected(),
      }),
  };
}

/** Hono, jose, one object hop, Cache API, Neon's driver. */
export function hono(settings: Settings = {}, vars: Record<string, string> = {}, name = "hono"): Side {
  return {
    name,
    start: (world) => {
      const { NEON_CONNECTION_STRING = "", NEON_HTTP_URL = "" } = world.services.vars;
      const all = String(UNLIMITED);
      const own = { NEON_CONNECTION_STRING, NEON_HTTP_URL, READS_PER_MINUTE: all, WRITES_PER_MINUTE: all };
      return startPeer(
        world.drey,
        "reads/worker.ts",
        { LIMITER: "Limiter", FEED: "Feed" },
        {
          vars: {
            ...trust(world),
            ...own,
            MEMORY_CACHE: "false",
            JSON_IN_SQL: "false",
            CACHE_PAGES: "false",
            LOG_LEVEL: "info",
            LONG_POLL_MS: "20000",
            ...vars,
          },
          ...settings,
          ...inspected(),
        },
      );
    },
  };
}

/** A room on PartyServer, hibernation on. */
export function partyserver(): Side {
  return {
    name: "partyserver",
    start: (world) => {
      const options = { vars: trust(world), ...inspected() };
      return startPeer(world.drey, "presence/worker.ts", { ROOM: "Room" }, options);
    },
  };
}

/** Hono and nothing else: the ceiling. */
export function plain(): Side {
  return {
    name: "hono-bare",
    start: (world) => startPeer(world.drey, "hello/worker.ts", {}, { vars: {}, ...inspected() }),
  };
}

/** For `--profile`. */
export function inspected(): Pick<CellOptions, "inspected"> {
  return { inspected: process.env.BENCH_PROFILE === "true" };
}
