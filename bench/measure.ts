/**
 * Runs one workload: every side in its own process, one load after the other, A B C A B C …, so that whatever else the
 * machine does hits all sides alike; and compares within each round.
 */
import { randomBytes } from "node:crypto";
import type { Cell } from "./cells.ts";
import { measureCold } from "./cold.ts";
import type { Loaded, Loader } from "./load.ts";
import { cpuMs, load as loadAverage, peakMb } from "./proc.ts";
import { profiled } from "./profile.ts";
import { type Kept, mostRounds, only, runRounds } from "./rounds.ts";
import { type Spread, spread } from "./spread.ts";
import { type Reached, reachedOf } from "./targets.ts";
import type { Side } from "./workload.ts";
import type { AnyWorkload } from "./workloads.ts";
import type { World } from "./world.ts";

export interface Budget {
  rounds: number;
  /** Of each load. */
  seconds: number;
  warmup: number;
}

/** What one load on one side gave. Times are milliseconds. */
export interface Figures {
  rps: number;
  p50: number;
  p95: number;
  p99: number;
  /** Of the process, per request. */
  cpu: number;
  /** Requests to Postgres per request: by the requests themselves, and in all (gates refresh every few seconds). */
  queries: number;
  queriesInAll: number;
  /** Calls of a Durable Object per request, where the answer tells; peers have one by construction. */
  hops: number | null;
  /** Of a whole answer. */
  bytes: number;
  requests: number;
  /** Only of counted workloads: answers of success above the limit. */
  over: number | null;
  /** Only of rooms: which share was shown in time, and how much of a processor the load itself took. */
  fresh?: number;
  busy?: number;
}

export interface SideResult {
  name: string;
  rounds: Figures[];
  peakMb: number;
  startMs: number;
  /** Only of rooms: memory per socket while nothing moves. */
  idleKb?: number;
}

export interface Result {
  workload: string;
  about: string;
  /** Of the machine, before and after. */
  load: [number, number];
  kept: Kept;
  sides: SideResult[];
  /** drey divided by this peer, round by round. */
  ratios: Record<string, Record<Compared, Spread>>;
  targets: Reached[];
}

/** Figures that are compared. */
export const COMPARED = ["rps", "p50", "p95", "p99", "cpu", "queriesInAll", "bytes"] as const;
export type Compared = (typeof COMPARED)[number] | "peakMb";

interface Running extends SideResult {
  side: Side;
  cell: Cell;
}

export async function measure(
  world: World,
  loader: Loader,
  workload: AnyWorkload,
  budget: Budget,
  progress: (step: string) => void,
): Promise<Result> {
  if (workload.cold) return measureCold(world, workload, budget, progress);
  const before = loadAverage();
  const running: Running[] = [];
  try {
    for (const side of workload.sides.filter((one) => world.redis || !one.needsRedis)) {
      const started = performance.now();
      const cell = await side.start(world);
      running.push({
        side,
        cell,
        name: side.name,
        rounds: [],
        peakMb: 0,
        startMs: performance.now() - started,
      });
    }
    const api = running[0]?.cell.apis[0] ?? "";
    const apis = running.map(({ cell }) => cell.apis[0] ?? "");
    const data = await workload.prepare(world, api, mostRounds(budget), apis);
    const kept = await runRounds(budget, progress, async (round) => {
      // There and back, so that nobody always comes after whoever leaves Postgres the most to clear up.
      for (const one of round % 2 === 0 ? running : running.toReversed()) {
        const figures = await load(world, loader, workload, one, data, round, budget);
        if (round > 0) one.rounds.push(figures);
      }
    });
    const sides = running.map(({ name, cell, rounds, startMs }) => {
      // What a limit lets in is no matter of noise: there every round counts.
      const counting = workload.counted ? rounds : only(rounds, kept);
      return { name, rounds: counting, peakMb: peakMb(cell.pid), startMs };
    });
    const { name, about } = workload;
    const ratios = ratiosOf(sides);
    const targets = reachedOf(workload.targets, sides, ratios);
    return { workload: name, about, load: [before, loadAverage()], kept, sides, ratios, targets };
  } finally {
    await Promise.all(running.map(({ cell }) => cell.stop()));
  }
}

/** One load after a warm-up under V8's profiler, for every side that has one. */
export async function profileAll(
  world: World,
  loader: Loader,
  workload: AnyWorkload,
  budget: Budget,
): Promise<string> {
  const texts: string[] = [];
  const cells: Cell[] = [];
  try {
    for (const side of workload.sides) cells.push(await side.start(world));
    const apis = cells.map((cell) => cell.apis[0] ?? "");
    const data = await workload.prepare(world, apis[0] ?? "", 1, apis);
    for (const [index, side] of workload.sides.entries()) {
      const cell = cells[index];
      if (!cell?.inspector) continue;
      const running = { side, cell, name: side.name, rounds: [], peakMb: 0, startMs: 0 };
      await load(world, loader, workload, running, data, 0, budget);
      const name = `${workload.name}-${side.name.replace(/\W+/g, "")}`;
      const text = await profiled(cell.inspector, name, () =>
        load(world, loader, workload, running, data, 1, budget),
      );
      texts.push(`${workload.name}, ${side.name}\n${text}`);
    }
    return texts.join("\n\n");
  } finally {
    await Promise.all(cells.map((cell) => cell.stop()));
  }
}

async function load(
  world: World,
  loader: Loader,
  workload: AnyWorkload,
  { side, cell }: Running,
  data: unknown,
  round: number,
  budget: Budget,
): Promise<Figures> {
  const trace = randomBytes(16).toString("hex");
  const tag = await tagOf(workload, cell, data);
  await resetQueries(world);
  const cpuBefore = cpuMs(cell.pid);
  const loaded = await loader
    .run({
      workload: workload.name,
      data,
      urls: cell.apis,
      connections: workload.connections,
      run: `${side.name.replace(/\W/g, "")}-${round}`,
      round,
      tag,
      side: side.name,
      pid: cell.pid,
      trace,
      good: goodStatuses(workload),
      seconds:
        round === 0 ? (workload.warmup ?? budget.warmup) : Math.max(budget.seconds, workload.seconds ?? 0),
      requests: workload.requests ?? Number.MAX_SAFE_INTEGER,
    })
    .catch((error: Error) => {
      throw new Error(`${workload.name}: the load on ${side.name} broke off`, { cause: error });
    });
  const cpu = cpuMs(cell.pid) - cpuBefore;
  const queries = await queriesOf(world, side.name.startsWith("drey") ? trace : undefined);
  requireGood(workload, side, loaded);
  const figures = figuresOf(workload, loaded, cpu, queries);
  if (round > 0) requireQueries(workload, side, figures);
  return figures;
}

function figuresOf(workload: AnyWorkload, loaded: Loaded, cpu: number, queries: Queries): Figures {
  const { requests, part, p50, p95, p99, bytes, statuses, hops } = loaded;
  const limit = workload.counted?.limit ?? Number.POSITIVE_INFINITY;
  return {
    rps: requests / (part ? part.ms / 1000 : loaded.seconds),
    p50,
    p95,
    p99,
    cpu: (part?.cpu ?? cpu) / requests,
    queries: (part?.queries ?? queries.own) / requests,
    queriesInAll: (part?.queries ?? queries.all) / requests,
    hops,
    bytes: bytes / requests,
    requests,
    over: Number.isFinite(limit) ? (statuses[workload.status] ?? 0) - limit : null,
  };
}

function requireGood(workload: AnyWorkload, side: Side, { statuses, bad }: Loaded): void {
  if (bad === undefined) return;
  throw new Error(`${workload.name}: ${side.name} answered ${JSON.stringify(statuses)}, for example\n${bad}`);
}

function goodStatuses({ status, counted }: AnyWorkload): number[] {
  return counted ? [status, counted.status] : [status];
}

/** A round may begin with a copy that has just ended; more than one in a hundred is another workload, and so is a copy where there should be none. */
function requireQueries(workload: AnyWorkload, side: Side, { queries, requests }: Figures): void {
  const slack = Math.max(0.01, 2 / requests);
  const { queries: most = Number.POSITIVE_INFINITY, uncached = false } = workload;
  if (queries <= most + slack && (!uncached || queries >= most - slack)) return;
  throw new Error(`${workload.name}: ${side.name} asked Postgres ${queries.toFixed(3)} times per request`);
}

async function tagOf(workload: AnyWorkload, cell: Cell, data: unknown): Promise<string> {
  if (!workload.probe) return "";
  const { path, token } = workload.probe(data);
  const answer = await fetch(`${cell.apis[0]}${path}`, { headers: { authorization: `Bearer ${token}` } });
  await answer.arrayBuffer();
  return answer.headers.get("etag") ?? "";
}

interface Queries {
  own: number;
  all: number;
}

async function resetQueries({ services }: World): Promise<void> {
  await fetch(`${services.neon.admin}/counters`, { method: "DELETE" });
}

/** drey's requests put their trace into the SQL, and its gates traces of their own. Peers have nothing but requests. */
async function queriesOf({ services }: World, trace: string | undefined): Promise<Queries> {
  const answer = await fetch(`${services.neon.admin}/counters`);
  const { requests, traces } = (await answer.json()) as Counters;
  return { own: trace === undefined ? requests : (traces[trace]?.requests ?? 0), all: requests };
}

interface Counters {
  requests: number;
  traces: Record<string, { requests: number }>;
}

export function ratiosOf([drey, ...peers]: SideResult[]): Result["ratios"] {
  if (!drey) return {};
  return Object.fromEntries(
    peers.map((peer) => {
      const compared = COMPARED.map((figure) => [
        figure,
        spread(drey.rounds.map((own, round) => own[figure] / (peer.rounds[round]?.[figure] ?? 0))),
      ]);
      const memory = drey.peakMb / peer.peakMb;
      return [
        peer.name,
        Object.fromEntries([...compared, ["peakMb", { min: memory, median: memory, max: memory }]]),
      ];
    }),
  );
}
