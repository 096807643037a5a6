/**
 * `--check` and `--accept`: medians of ratios against those of an earlier, quiet run. Never absolute times: another
 * machine has others, and the same ratios.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Result, spread } from "./measure.ts";

const EXPECTED = join(import.meta.dirname, "expected.json");

interface Expected {
  /** A ratio may be this share worse than its median was. Processor time hardly notices other work on the machine. */
  noise: { rps: number; cpu: number };
  /** By workload and peer. */
  medians: Record<string, Record<string, { rps: number; cpu: number }>>;
}

/** What is worse than it was, one sentence each. */
export function regressions(results: Result[], slack: number): string[] {
  const { noise, medians } = read();
  const [least, most] = [1 - noise.rps - slack, 1 + noise.cpu + slack];
  return results.flatMap((result) => {
    const peers = Object.entries(result.ratios).flatMap(([peer, { rps, cpu }]) => {
      const expected = medians[result.workload]?.[peer];
      if (!expected) return [];
      const told = `${result.workload}, drey / ${peer}`;
      return [
        ...(rps.median < expected.rps * least
          ? [`${told}: requests/s ${was(rps.median, expected.rps)}`]
          : []),
        ...(cpu.median > expected.cpu * most
          ? [`${told}: processor time ${was(cpu.median, expected.cpu)}`]
          : []),
      ];
    });
    return [...peers, ...overAdmitted(result)];
  });
}

/** The one absolute rule: a limit holds exactly, on any machine. */
function overAdmitted({ workload, sides: [drey] }: Result): string[] {
  const over = Math.max(0, ...(drey?.rounds ?? []).map((round) => round.over ?? 0));
  return over > 0 ? [`${workload}: drey let ${over} calls too many in`] : [];
}

function was(now: number, before: number): string {
  return `is ${now.toFixed(2)}, was ${before.toFixed(2)}`;
}

/** Of what was offered in a room; below it a ratio says how far under water the peer was, and that is luck. */
const LEAST_FRESH = 0.9;

/**
 * Makes these results what later runs are held to; workloads that were not run keep theirs. A thousand requests tell no
 * ratio: who counts what was let in is held to that count.
 */
export function accept(results: Result[]): void {
  const expected = read();
  for (const { workload, ratios, sides } of results) {
    const rounds = sides.flatMap((side) => side.rounds);
    if (rounds.some(({ over, fresh = 1 }) => over !== null || fresh < LEAST_FRESH)) continue;
    expected.medians[workload] = Object.fromEntries(
      Object.entries(ratios).map(([peer, { rps, cpu }]) => [
        peer,
        { rps: rounded(rps.median), cpu: rounded(cpu.median) },
      ]),
    );
  }
  writeFileSync(EXPECTED, `${JSON.stringify(expected, null, 2)}\n`);
}

/** The widest spread of requests/s that any side showed: what the noise of this run was. */
export function noiseOf(results: Result[]): number {
  const ratios = results.flatMap((result) => Object.values(result.ratios));
  return spread(ratios.map(({ rps }) => (rps.max - rps.min) / 2 / rps.median)).max;
}

function rounded(value: number): number {
  return Number(value.toFixed(3));
}

function read(): Expected {
  return JSON.parse(readFileSync(EXPECTED, "utf8")) as Expected;
}
