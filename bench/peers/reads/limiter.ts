/**
 * One object per workspace, asked once per request: it counts by GCRA in memory and knows the version that cached
 * copies are true at.
 */
import { DurableObject } from "cloudflare:workers";
import type { Env } from "./environment.ts";

export type Tier = "reads" | "writes";

export interface Verdict {
  allowed: boolean;
  limit: number;
  remaining: number;
  /** Seconds: of a refused call until it may come again, else until the bucket is full. */
  reset: number;
  /** Grows with every write. */
  version: number;
}

const WINDOW_MS = 60_000;

export class Limiter extends DurableObject<Env> {
  /** Theoretical arrival times by tier and user. */
  readonly #arrivals = new Map<string, number>();
  #version = Date.now();

  check(user: string, tier: Tier): Verdict {
    const limit = Number(tier === "reads" ? this.env.READS_PER_MINUTE : this.env.WRITES_PER_MINUTE);
    const interval = WINDOW_MS / limit;
    const now = Date.now();
    const key = `${tier}:${user}`;
    const arrival = Math.max(this.#arrivals.get(key) ?? now, now) + interval;
    const early = arrival - WINDOW_MS - now;
    const version = this.#version;
    if (early > 0) return { allowed: false, limit, remaining: 0, reset: Math.ceil(early / 1000), version };
    this.#arrivals.set(key, arrival);
    const remaining = Math.floor(-early / interval);
    return { allowed: true, limit, remaining, reset: Math.ceil((arrival - now) / 1000), version };
  }

  changed(): void {
    this.#version += 1;
  }
}
