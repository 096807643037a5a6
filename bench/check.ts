/**
 * `--check` and `--accept`: medians of ratios against those of the run that was accepted. Never absolute times: another
 * machine has others, and the same ratios.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "./measure.ts";
import { spread } from "./spread.ts";

const EXPECTED = join(import.meta.dirname, "expected.json");

/** A ratio may be this share worse than its median was. Processor time hardly notices other work on the machine. */
interface Noise {
  rps: number;
  cpu: number;
}

interface Expected {
  noise: Noise;
  /** Of the short form, whose rounds are over in half a second. */
  short: Noise;
  /** When each workload was measured, and beside which load average. */
  runs: Record<string, { at: string; load: { before: number; after: number } }>;
  /** By workload and peer. */
  medians: Record<string, Record<string, { rps: number; cpu: number }>>;
}

/**
 * The long form judges medians. The short one runs beside whatever else a machine does, which makes single rounds worse
 * and hardly ever better: there the best round counts, and what has become slower is slower in that one too.
 */
export function statedNoise(short: boolean): string {
  const { rps, cpu } = noiseOf(short);
  const what = short ? "the best round" : "the median";
  return `${what} of a ratio may have ${percent(rps)} less requests/s and ${percent(cpu)} more processor time than expected.json says`;
}

/** What is worse than it was, one sentence each. */
export function regressions(results: Result[], short: boolean): string[] {
  const { medians } = read();
  const noise = noiseOf(short);
  return results.flatMap((result) => {
    const peers = Object.entries(result.ratios).flatMap(([peer, { rps, cpu }]) => {
      const expected = medians[result.workload]?.[peer];
      if (!expected) return [];
      const told = `${result.workload}, drey / ${peer}`;
      const [requests, time] = short ? [rps.max, cpu.min] : [rps.median, cpu.median];
      const slower = requests < expected.rps * (1 - noise.rps);
      const dearer = time > expected.cpu * (1 + noise.cpu);
      return [
        ...(slower ? [`${told}: requests/s ${was(requests, expected.rps)}`] : []),
        ...(dearer ? [`${told}: processor time ${was(time, expected.cpu)}`] : []),
      ];
    });
    return [...peers, ...overAdmitted(result)];
  });
}

/** Of what `expected.json` holds: how many ratios these results were held to. */
export function judged(results: Result[]): number {
  const { medians } = read();
  return results.flatMap(({ workload, ratios }) =>
    Object.keys(ratios).filter((peer) => medians[workload]?.[peer]),
  ).length;
}

function noiseOf(short: boolean): Noise {
  const { noise, short: shorter } = read();
  return short ? shorter : noise;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
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

/** A thousand requests tell no ratio, either: who counts what was let in is held to that count. */
export function isLuck({ sides }: Result): boolean {
  const rounds = sides.flatMap((side) => side.rounds);
  return rounds.some(({ over, fresh = 1 }) => over !== null || fresh < LEAST_FRESH);
}

/** Makes these results what later runs are held to; workloads that were not run keep theirs. */
export function accept(results: Result[]): void {
  const expected = read();
  const at = new Date().toISOString().slice(0, 10);
  for (const result of results.filter((one) => !isLuck(one))) {
    const { workload, ratios, load } = result;
    expected.runs[workload] = { at, load: { before: rounded(load[0]), after: rounded(load[1]) } };
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
export function strayed(results: Result[]): number {
  const ratios = results.flatMap((result) => Object.values(result.ratios));
  return spread(ratios.map(({ rps }) => (rps.max - rps.min) / 2 / rps.median)).max;
}

function rounded(value: number): number {
  return Number(value.toFixed(3));
}

function read(): Expected {
  return JSON.parse(readFileSync(EXPECTED, "utf8")) as Expected;
}
