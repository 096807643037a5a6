/**
 * The thread that fills a room and moves in it. Every client reads all that it is sent; some of them speak.
 *
 * An offer is the moment at which a state is written to its socket. For each other client it is answered when that client has read
 * this state of this peer, or a newer one: what was coalesced away is shown by what took its place.
 */
import { parentPort } from "node:worker_threads";
import { DIALECTS, type Dialect, type DialectName, type Heard } from "./dialects.ts";
import { ThinSocket } from "./socket.ts";

export interface Opening {
  url: string;
  dialect: DialectName;
  room: string;
  token: string;
  size: number;
}

export interface Offering {
  speakers: number;
  /** Updates of each speaker a second. */
  hz: number;
  seconds: number;
  /** An answer above this is late. */
  fresh_ms: number;
}

/** Times are milliseconds. */
export interface Moved {
  /** (receiver, peer) pairs that should have shown a state, and that did within `fresh_ms`. */
  pairs: number;
  fresh: number;
  p50: number;
  p95: number;
  p99: number;
  /** That all clients have read, from the first offer to the last answer. */
  bytes: number;
  frames: number;
  seconds: number;
  /** Of this thread, by the second: 1 is a whole processor. */
  busy: number;
}

type Order = { open: Opening } | { fill: number } | { offer: Offering };

/** Upgrades under way at a time. */
const AT_A_TIME = 20;
/** How long the last answers may take before they count as never. */
const PATIENCE_MS = 1_500;
/** Latencies by tenths of a millisecond; the last one is for those that never came. */
const BUCKETS = 10 * PATIENCE_MS;

class Crowd {
  readonly #opening: Opening;
  readonly #dialect: Dialect;
  readonly #sockets: ThinSocket[] = [];
  /** All clients are sent the same texts: read once, remembered for the others. */
  readonly #read = new Map<string, Heard>();
  readonly #size: number;
  /** The newest clock of a peer that a client has been shown: `#shown[client * size + peer]`. */
  readonly #shown: Uint32Array;
  /** When each state of a peer was offered; the index is its clock. Clocks begin at 1. */
  readonly #offered: number[][];
  readonly #counts = new Uint32Array(BUCKETS + 1);
  /** Of the offers that count now. */
  #since = 0;
  #answered = 0;
  #bytes = 0;
  #frames = 0;
  #ended: string | undefined;

  constructor(opening: Opening) {
    const { dialect, size } = opening;
    this.#opening = opening;
    this.#dialect = DIALECTS[dialect];
    this.#size = size;
    this.#shown = new Uint32Array(size * size);
    this.#offered = Array.from({ length: size }, () => [0]);
  }

  /** Lets clients in until so many have joined. */
  async fill(to: number): Promise<void> {
    for (let at = this.#sockets.length; at < to; at = this.#sockets.length) {
      const some = Array.from({ length: Math.min(AT_A_TIME, to - at) }, (_, n) => this.#join(at + n));
      this.#sockets.push(...(await Promise.all(some)));
    }
    this.#requireAll();
  }

  async #join(client: number): Promise<ThinSocket> {
    const { url, room, token } = this.#opening;
    const joined = Promise.withResolvers<void>();
    // Nobody waits for it when the upgrade itself is refused.
    joined.promise.catch(() => {});
    const onEnd = (why: string) => {
      this.#ended ??= `client ${client}: ${why}`;
      joined.reject(new Error(this.#ended));
    };
    const onText = (text: string) => {
      const heard = this.#hear(client, text);
      if (heard.hello) joined.resolve();
      if (heard.reply) this.#sockets[client]?.send(heard.reply);
    };
    const socket = await ThinSocket.open(`${url}${this.#dialect.path(room, client)}`, token, {
      onText,
      onEnd,
    });
    await joined.promise;
    return socket;
  }

  async offer(offering: Offering): Promise<Moved> {
    this.#counts.fill(0);
    [this.#answered, this.#bytes, this.#frames] = [0, 0, 0];
    const [cpu, started] = [process.threadCpuUsage(), performance.now()];
    this.#since = started;
    const offers = await this.#speak(offering, started);
    const pairs = offers * (this.#size - 1);
    const deadline = performance.now() + PATIENCE_MS;
    while (this.#answered < pairs && performance.now() < deadline) await turn(5);
    this.#requireAll();
    const seconds = (performance.now() - started) / 1_000;
    const { user, system } = process.threadCpuUsage(cpu);
    this.#counts[BUCKETS] = (this.#counts[BUCKETS] ?? 0) + pairs - this.#answered;
    return {
      pairs,
      fresh: this.#counts.subarray(0, 10 * offering.fresh_ms + 1).reduce((sum, count) => sum + count, 0),
      ...this.#percentiles(pairs),
      bytes: this.#bytes,
      frames: this.#frames,
      seconds,
      busy: (user + system) / 1e6 / seconds,
    };
  }

  /** Speakers take turns evenly: bursts would flatter whoever coalesces. */
  async #speak({ speakers, hz, seconds }: Offering, started: number): Promise<number> {
    const offers = Math.floor(speakers * hz * seconds);
    for (let n = 0; n < offers; ) {
      const due = Math.min(offers, Math.floor(((performance.now() - started) / 1_000) * speakers * hz));
      for (; n < due; n += 1) this.#say(n % speakers);
      await turn(1);
    }
    return offers;
  }

  #say(peer: number): void {
    const offered = this.#offered[peer] ?? [];
    const clock = offered.length;
    offered.push(performance.now());
    this.#sockets[peer]?.send(this.#dialect.update(clock, stateOf(clock)));
  }

  #hear(client: number, text: string): Heard {
    this.#bytes += text.length;
    this.#frames += 1;
    let heard = this.#read.get(text);
    if (!heard) {
      heard = this.#dialect.hear(text);
      if (this.#read.size > 500) this.#read.clear();
      this.#read.set(text, heard);
    }
    const now = performance.now();
    for (const { peer, clock } of heard.seen) if (peer !== client) this.#show(client, peer, clock, now);
    return heard;
  }

  #show(client: number, peer: number, clock: number, now: number): void {
    const place = client * this.#size + peer;
    for (let one = (this.#shown[place] ?? 0) + 1; one <= clock; one += 1) {
      this.#shown[place] = one;
      const offered = this.#offered[peer]?.[one] ?? 0;
      if (offered < this.#since) continue;
      const bucket = Math.min(BUCKETS, Math.floor(10 * (now - offered)));
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
      this.#answered += 1;
    }
  }

  #percentiles(pairs: number): Pick<Moved, "p50" | "p95" | "p99"> {
    const at = (share: number) => {
      let below = 0;
      const bucket = this.#counts.findIndex((count) => {
        below += count;
        return below >= share * pairs;
      });
      return bucket / 10;
    };
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
  }

  #requireAll(): void {
    if (this.#ended) throw new Error(this.#ended);
  }
}

/** 200 bytes, as a cursor with a selection and a name has them. */
export function stateOf(clock: number): string {
  const state = {
    cursor: { x: clock % 1_920, y: (7 * clock) % 1_080 },
    selection: "request/login",
    editing: true,
    note: "",
  };
  const note = "n".repeat(200 - JSON.stringify(state).length);
  return JSON.stringify({ ...state, note });
}

function turn(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const crowds = new Map<string, Crowd>();

/** The answer to an order about the crowd of this name. */
async function obey(name: string, order: Order): Promise<unknown> {
  if ("open" in order) crowds.set(name, new Crowd(order.open));
  const crowd = crowds.get(name);
  if ("fill" in order) return crowd?.fill(order.fill);
  return "offer" in order ? crowd?.offer(order.offer) : undefined;
}

parentPort?.on("message", async ({ name, order }: { name: string; order: Order }) => {
  try {
    parentPort?.postMessage({ done: await obey(name, order) });
  } catch (error) {
    parentPort?.postMessage({ error: (error as Error).stack });
  }
});
