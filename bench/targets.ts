/** Targets of drey's medians, and whether a run reached them. */
import type { Result, SideResult } from "./measure.ts";
import { spread } from "./spread.ts";
import type { Target } from "./workload.ts";

/** A target and drey's median of it. */
export interface Reached extends Target {
  value: number;
  reached: boolean;
}

export function reachedOf(targets: Target[] = [], [drey]: SideResult[], ratios: Result["ratios"]): Reached[] {
  return targets.map((target) => {
    const { figure, peer, least = 0, most = Number.POSITIVE_INFINITY } = target;
    const own = spread((drey?.rounds ?? []).map((round) => round[figure]));
    const value = (peer === undefined ? own : ratios[peer]?.[figure])?.median ?? Number.NaN;
    return { ...target, value, reached: value >= least && value <= most };
  });
}

/** One sentence about a target. */
export function told({ figure, peer, least, most, means, value, reached }: Reached): string {
  const name = means ?? NAMES[figure];
  const bound = least === undefined ? `≤ ${most}` : `≥ ${least}`;
  const of = peer === undefined ? "" : ` of ${peer}`;
  return `${name} ${bound}${of}: ${value.toFixed(2)}, ${reached ? "reached" : "not reached"}`;
}

const NAMES = { rps: "req/s", p50: "p50 ms", p95: "p95 ms", cpu: "cpu", queriesInAll: "queries" };
