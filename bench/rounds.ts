/**
 * Whose rounds count: on a machine that others share, those in which it was least taken away. What is chosen by is the machine's
 * own count and not what came out, so it favours no side.
 */
import type { Budget } from "./measure.ts";
import { processorTicks } from "./proc.ts";

/** A round that has lost more of the processors than this is run once more, in the end. */
const MOST_STOLEN = 0.02;
/** So many times the rounds, at the most. */
const PATIENCE = 2;

export interface Kept {
  /** Which of the rounds count; the first one is 0. */
  rounds: number[];
  ran: number;
  /** Share of the processors that the worst of them lost. */
  stolen: number;
}

/** How many rounds a workload has to be prepared for. */
export function mostRounds({ rounds }: Budget): number {
  return PATIENCE * rounds;
}

/** Runs the warm-up, which is round 0, and then round after round until enough of them were calm. */
export async function runRounds(
  budget: Budget,
  progress: (step: string) => void,
  run: (round: number) => Promise<void>,
): Promise<Kept> {
  progress("warming up");
  await run(0);
  const stolen: number[] = [];
  const calm = () => stolen.filter((share) => share <= MOST_STOLEN).length;
  while (calm() < budget.rounds && stolen.length < mostRounds(budget)) {
    progress(`round ${stolen.length + 1}, ${calm()} of ${budget.rounds} were calm`);
    const before = processorTicks();
    await run(stolen.length + 1);
    const after = processorTicks();
    stolen.push((after.stolen - before.stolen) / (after.all - before.all));
  }
  return kept(stolen, budget.rounds);
}

function kept(stolen: number[], count: number): Kept {
  const byLoss = [...stolen.keys()].sort((one, other) => (stolen[one] ?? 0) - (stolen[other] ?? 0));
  const rounds = byLoss.slice(0, count).sort((one, other) => one - other);
  return { rounds, ran: stolen.length, stolen: Math.max(...rounds.map((round) => stolen[round] ?? 0)) };
}

/** Of all rounds those that count. */
export function only<T>(rounds: T[], { rounds: which }: Kept): T[] {
  return rounds.filter((_, round) => which.includes(round));
}
