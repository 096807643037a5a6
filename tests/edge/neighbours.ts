/**
 * What a test asks of the stand-ins beside the Worker: query counters of Neon, what Redis holds, faults of both.
 *
 * In scope: plain HTTP to them. Out of scope: starting them (world.ts).
 */
import { world } from "./world.ts";

export interface Counters {
  requests: number;
  statements: number;
}

/** How often Neon was asked on behalf of the requests that carried this trace id. */
export async function neonCounters(traceId: string): Promise<Counters> {
  const response = await fetch(`${world().neonAdmin}/counters/${traceId}`);
  return (await response.json()) as Counters;
}

export interface Fault {
  kind: "latency" | "status500" | "drop_before_commit" | "drop_after_commit";
  latency_ms?: number;
  times?: number;
  /** A piece of SQL text or a trace id: shared tests never disturb a request that is not theirs. */
  match: string;
}

export type RedisFault = Omit<Fault, "kind"> & { kind: "latency" | "status500" | "garbage" | "drop" };

/** Arms one fault of Neon; `fired` says how often it has happened. */
export function neonFault(fault: Fault): Promise<{ fired(): Promise<number> }> {
  return arm(`${world().neonAdmin}/faults`, fault);
}

/** One command of Redis, as the Worker would send it. */
export async function redis(...command: unknown[]): Promise<unknown> {
  const answer = await fetch(world().redisUrl, {
    method: "POST",
    headers: { authorization: `Bearer ${world().redisToken}` },
    body: JSON.stringify(command),
  });
  const { result, error } = (await answer.json()) as { result?: unknown; error?: string };
  if (error) throw new Error(error);
  return result;
}

/** What Redis holds, keys and values. */
export async function redisEntries(): Promise<string[]> {
  const entries = await (await fetch(`${world().redisAdmin}/entries`)).json();
  return (entries as [string, string][]).map((entry) => entry.join(" "));
}

/** Arms one fault of Redis; `match` is a piece of the command's JSON. */
export function redisFault(fault: RedisFault): Promise<{ fired(): Promise<number> }> {
  return arm(`${world().redisAdmin}/faults`, fault);
}

async function arm(faults: string, fault: Fault | RedisFault): Promise<{ fired(): Promise<number> }> {
  const response = await fetch(faults, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(fault),
  });
  if (response.status !== 201) throw new Error(`fault refused: ${await response.text()}`);
  const { id } = (await response.json()) as { id: number };
  return { fired: () => firedOf(faults, id) };
}

async function firedOf(faults: string, id: number): Promise<number> {
  const listed = (await (await fetch(faults)).json()) as { id: number; fired: number }[];
  return listed.find((fault) => fault.id === id)?.fired ?? 0;
}
