/** The sides that only limit. drey has no such thing: its side is a whole cached read. */
import { type Cell, startNode, startPeer } from "./cells.ts";
import { inspected } from "./sides.ts";
import type { Side } from "./workload.ts";
import { trust, type World } from "./world.ts";

/** `limit` calls in `windowMs`, all at once if they like. */
export interface Rule {
  limit: number;
  windowMs: number;
}

export function limiters(rule: Rule, isolates = 1): Side[] {
  return [hop(rule, "rpc", isolates), hop(rule, "fetch", isolates), upstash(rule, isolates), flexible(rule)];
}

function varsOf({ limit, windowMs }: Rule): Record<string, string> {
  return { LIMIT: String(limit), WINDOW_MS: String(windowMs) };
}

function hop(rule: Rule, transport: string, isolates: number): Side {
  return {
    name: `object-${transport}`,
    start: (world) => {
      const vars = { ...trust(world), ...varsOf(rule), TRANSPORT: transport };
      return startPeer(
        world.drey,
        "limits/hop.ts",
        { LIMITER: "Limiter" },
        { vars, isolates, ...inspected() },
      );
    },
  };
}

function upstash(rule: Rule, isolates: number): Side {
  return {
    name: "@upstash/ratelimit",
    needsRedis: true,
    start: (world) => {
      const { UPSTASH_REDIS_REST_URL = "", UPSTASH_REDIS_REST_TOKEN = "" } = world.services.vars;
      const vars = { UPSTASH_REDIS_REST_URL, UPSTASH_REDIS_REST_TOKEN, ...varsOf(rule) };
      return startPeer(world.drey, "limits/upstash.ts", {}, { vars, isolates });
    },
  };
}

function flexible(rule: Rule): Side {
  return { name: "rate-limiter-flexible", needsRedis: true, start: (world) => startFlexible(world, rule) };
}

function startFlexible(world: World, { limit, windowMs }: Rule): Promise<Cell> {
  return startNode("limits/flexible.ts", [world.redis ?? "", String(limit), String(windowMs / 1000)]);
}
