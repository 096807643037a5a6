/** Sides that do less than the work: what no Worker that does all of it gets beyond. */
import { startPeer } from "./cells.ts";
import { inspected } from "./sides.ts";
import type { Side } from "./workload.ts";

/** drey's answer, and nothing decided: its headers and the length of its body, from JavaScript. */
export function answerOnly(sample: "hello" | "read" | "limited", vars: Record<string, string> = {}): Side {
  return {
    name: "answer-only",
    start: (world) => {
      const all = { LOG_LEVEL: "info", ANSWER: sample, ...vars };
      return startPeer(world.drey, "bounds/answer.ts", {}, { vars: all, ...inspected() });
    },
  };
}

/**
 * The statements of a call in one request to Neon, and nothing checked, limited or written. `cache`: with the two calls of
 * the Cache API; `answer`: with drey's headers and log line.
 */
export function sqlOnly(more?: "cache" | "answer"): Side {
  return {
    name: more ? `sql+${more}` : "sql-only",
    start: (world) => {
      const { NEON_CONNECTION_STRING = "", NEON_HTTP_URL = "" } = world.services.vars;
      const vars = { NEON_CONNECTION_STRING, NEON_HTTP_URL, WITH: more ?? "" };
      return startPeer(world.drey, "bounds/sql.ts", {}, { vars, cache: false, ...inspected() });
    },
  };
}

/** One frame a tick and nothing else: what no room that tells everybody takes less than. */
export function sendsOnly(): Side {
  return {
    name: "sends-only",
    start: (world) =>
      startPeer(world.drey, "bounds/sends.ts", { ROOM: "Room" }, { vars: {}, ...inspected() }),
  };
}
