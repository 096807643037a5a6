/** What a workload is. One file each in `workloads/`. */
import type { Cell } from "./cells.ts";
import type { World } from "./world.ts";

/** Which request of the load this is. */
export interface Turn {
  /** Of this load, from 0. */
  n: number;
  connection: number;
  /** Of this connection, from 0. */
  own: number;
  /** Unique: of this load among all. */
  run: string;
  /** The warm-up is round 0. Each side has each round. */
  round: number;
  /** The entity tag that this side answers `probe` with. */
  tag: string;
  /** The name of the side that is asked, and its process. */
  side: string;
  pid: number;
}

/** A connection of the load. */
export interface Line {
  send(request: Buffer | string): Promise<Received>;
}

export interface Received {
  status: number;
  head: string;
  /** Head and body as they came over the wire. */
  raw: Buffer;
}

/** What a turn of more than one request gives: the answer that is judged, and how long what is measured took. */
export interface Performed {
  received: Received;
  ms: number;
  /** What counts, where the rest of the turn only prepares it. */
  part?: Part;
}

/** A part of a turn, or of all turns of a load. */
export interface Part {
  ms: number;
  /** Milliseconds of the side's processor time. */
  cpu: number;
  /** Requests to Postgres. */
  queries: number;
}

/** What drey's median has to reach: a figure of its own, or divided by a peer's. */
export interface Target {
  figure: "rps" | "p50" | "p95" | "cpu" | "queriesInAll";
  peer?: string;
  least?: number;
  most?: number;
  /** What the figure means here, if its name does not say. */
  means?: string;
}

/** One of those compared. The first is drey. */
export interface Side {
  name: string;
  /** Left out where there is no real Redis: the one in this process would be measured instead. */
  needsRedis?: boolean;
  start(world: World): Promise<Cell>;
}

export interface Workload<Data> {
  name: string;
  /** One sentence. */
  about: string;
  sides: Side[];
  connections: number;
  /** Seconds of the warm-up, where it takes longer until every caller has been here, or until V8 has compiled what is hot. */
  warmup?: number;
  /** A round lasts at least so many seconds, so that what each begins with is a small part of it. */
  seconds?: number;
  /** At most this many requests a round. */
  requests?: number;
  /** What a good answer has; any other ends the bench, unless it is `counted`. */
  status: number;
  /** Every round is the first request of a process that has just started, and nothing else. */
  cold?: boolean;
  /** A second status that is no fault, and the limit that the first must not exceed. */
  counted?: { status: number; limit: number };
  /** Postgres may be asked this often per request of a round, by the request itself. */
  queries?: number;
  /** Neither seldomer: an answer from a copy would be another workload. */
  uncached?: boolean;
  targets?: Target[];
  /** Asked once before each load, for `Turn.tag`. */
  probe?(data: Data): { path: string; token: string };
  /** Arranges through the public API of drey's cell (all sides': `apis`). What it gives must survive a structured clone. */
  prepare(world: World, api: string, rounds: number, apis: string[]): Promise<Data>;
  request(data: Data, turn: Turn): Buffer | string;
  /** Instead of one request after the other: a turn on `lines` connections of its own. */
  perform?(data: Data, turn: Turn, lines: Line[]): Promise<Performed>;
  /** 1 unless told. */
  lines?: number;
}

/** Keeps the type of the data together. */
export function workload<Data>(definition: Workload<Data>): Workload<Data> {
  return definition;
}

/** All requests of one load share a trace, by which the queries they cause are counted. */
let trace = "";

export function beginTrace(id: string): void {
  trace = id;
}

export function currentTrace(): string {
  return trace;
}

/** A request as it goes over the wire. */
export function http(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
): Buffer {
  const traceparent = `00-${trace}-00f067aa0ba902b7-00`;
  const own = { host: "bench.local", "user-agent": "drey-bench", accept: "*/*", traceparent };
  const lines = Object.entries({ ...own, ...headers });
  if (body !== undefined) {
    lines.push(["content-type", "application/json"], ["content-length", String(Buffer.byteLength(body))]);
  }
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${head}\r\n${body ?? ""}`);
}

/** The same request again and again needs to be written once. */
export function once<Data>(write: (data: Data) => Buffer): (data: Data) => Buffer {
  let [last, written]: [string | undefined, Buffer] = [undefined, Buffer.of()];
  return (data) => {
    if (last !== trace) [last, written] = [trace, write(data)];
    return written;
  };
}
