/**
 * The thread that makes the load. It imports the workload itself, because a function cannot be sent to it.
 */
import { parentPort } from "node:worker_threads";
import { beginTrace, type Line, type Part, type Performed, type Turn } from "../workload.ts";
import { workloadNamed } from "../workloads.ts";
import { Connection } from "./connection.ts";

export interface Order {
  workload: string;
  data: unknown;
  urls: string[];
  connections: number;
  /** Unique in the run: makes names and keys that nobody used before. */
  run: string;
  round: number;
  tag: string;
  side: string;
  pid: number;
  /** 32 hexadecimal digits. */
  trace: string;
  /** Statuses of good answers. */
  good: number[];
  /** Whichever is over first ends the load. */
  seconds: number;
  requests: number;
}

export interface Loaded {
  requests: number;
  seconds: number;
  statuses: Record<string, number>;
  p50: number;
  p95: number;
  p99: number;
  bytes: number;
  /** Gate calls per answer, as far as answers tell; every sixteenth is asked. */
  hops: number | null;
  /** All that counts, where turns prepare it first. */
  part: Part | null;
  /** The first answer that was not good. */
  bad: string | undefined;
}

parentPort?.on("message", async (order: Order) => {
  try {
    parentPort?.postMessage({ loaded: await load(order) });
  } catch (error) {
    parentPort?.postMessage({ error: (error as Error).stack });
  }
});

async function load(order: Order): Promise<Loaded> {
  beginTrace(order.trace);
  const { request, perform = alone, lines = 1 } = await workloadNamed(order.workload);
  const connections = Array.from({ length: order.connections }, (_, index) =>
    Array.from({ length: lines }, () => new Connection(order.urls[index % order.urls.length] ?? "")),
  );
  // Not all at once: a listener's queue of new connections has an end.
  for (const some of chunksOf(connections.flat(), 50)) {
    await Promise.all(some.map((connection) => connection.open()));
  }
  async function alone(data: never, turn: Turn, [line]: Line[]): Promise<Performed> {
    const message = request(data, turn);
    const before = performance.now();
    const received = await (line as Line).send(message);
    return { received, ms: performance.now() - before };
  }
  const latencies: number[] = [];
  const statuses: Record<string, number> = {};
  let [sent, bytes] = [0, 0];
  let bad: string | undefined;
  const hops: number[] = [];
  const parts: Part[] = [];
  const { data, run, side, pid, round, tag } = order;
  const started = performance.now();
  const deadline = started + order.seconds * 1000;
  await Promise.all(
    connections.map(async (own, index) => {
      for (let turns = 0; sent < order.requests && performance.now() < deadline; turns += 1) {
        const turn = { n: sent++, connection: index, own: turns, run, side, pid, round, tag };
        const { received, ms, part } = await perform(data as never, turn, own);
        latencies.push(ms);
        if (part) parts.push(part);
        statuses[received.status] = (statuses[received.status] ?? 0) + 1;
        bytes += received.raw.length;
        if (latencies.length % 16 === 0) hops.push(...hopsOf(received.head));
        if (!order.good.includes(received.status)) bad ??= received.raw.toString();
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  for (const connection of connections.flat()) connection.close();
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  const percentiles = { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
  const told = { hops: mean(hops), part: sumOf(parts), bad };
  return { requests: sent, seconds, statuses, ...percentiles, bytes, ...told };
}

function chunksOf<T>(items: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, n) =>
    items.slice(n * size, (n + 1) * size),
  );
}

/** `Server-Timing: …, gate;dur=0.3;desc="1"`: an empty list for a side that does not tell. */
function hopsOf(head: string): number[] {
  const told = /\r\nserver-timing:[^\r]*\bgate;[^,\r]*desc="?(\d+)/i.exec(head)?.[1];
  return told === undefined ? [] : [Number(told)];
}

function sumOf([first, ...others]: Part[]): Part | null {
  if (!first) return null;
  return others.reduce(
    (sum, { ms, cpu, queries }) => ({ ms: sum.ms + ms, cpu: sum.cpu + cpu, queries: sum.queries + queries }),
    first,
  );
}

function mean(values: number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
