/**
 * How long a process takes from its start to its first answer, and what that costs, with the stack behind it already up.
 * What miniflare does before it starts workerd is not counted.
 */
import type { Cell } from "./cells.ts";
import { type Budget, type Figures, type Result, ratiosOf, type SideResult } from "./measure.ts";
import { ageMs, cpuMs, load, peakMb } from "./proc.ts";
import { only, runRounds } from "./rounds.ts";
import { reachedOf } from "./targets.ts";
import type { AnyWorkload } from "./workloads.ts";
import type { World } from "./world.ts";

/** A start takes less than a second, and its time strays more than a load's does. */
const STARTS_PER_ROUND = 3;

export async function measureCold(
  world: World,
  workload: AnyWorkload,
  budget: Budget,
  progress: (step: string) => void,
): Promise<Result> {
  const before = load();
  const started: SideResult[] = workload.sides.map(({ name }) => {
    return { name, rounds: [], peakMb: 0, startMs: 0 };
  });
  const starts = { ...budget, rounds: budget.rounds * STARTS_PER_ROUND };
  // The first start reads the programs from the disk.
  const kept = await runRounds(starts, progress, async (round) => {
    for (const [index, side] of workload.sides.entries()) {
      const cell = await side.start(world);
      const figures = await firstAnswer(cell, workload).finally(() => cell.stop());
      if (round > 0) started[index]?.rounds.push(figures.first);
      const known = started[index];
      if (known) known.peakMb = Math.max(known.peakMb, figures.memory);
    }
  });
  const sides = started.map((side) => ({ ...side, rounds: only(side.rounds, kept) }));
  const { name, about } = workload;
  const ratios = ratiosOf(sides);
  const targets = reachedOf(workload.targets, sides, ratios);
  return { workload: name, about, load: [before, load()], kept, sides, ratios, targets };
}

async function firstAnswer(
  cell: Cell,
  { name, status }: AnyWorkload,
): Promise<{ first: Figures; memory: number }> {
  const answer = await fetch(`${cell.apis[0]}/healthz`);
  const body = await answer.arrayBuffer();
  const [age, cpu] = [ageMs(cell.pid), cpuMs(cell.pid)];
  if (answer.status !== status) throw new Error(`${name}: the first answer was ${answer.status}`);
  const times = { rps: 1000 / age, p50: age, p95: age, p99: age, cpu };
  const counts = { queries: 0, queriesInAll: 0, hops: null, bytes: body.byteLength, requests: 1, over: null };
  return { first: { ...times, ...counts }, memory: peakMb(cell.pid) };
}
