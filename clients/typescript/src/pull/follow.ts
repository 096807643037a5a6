/**
 * Reading a scope's log to its end, and on as it grows.
 */
import type { Scope } from "../api/types.ts";
import { hasCode, NetworkError } from "../http/errors.ts";
import type { Http } from "../http/http.ts";
import { insist } from "../http/insist.ts";
import { START } from "../queue/records.ts";
import type { Timer } from "../timer.ts";
import type { Wakes } from "../wakes.ts";
import { NoStream, openStream } from "./listen.ts";
import { type Chunk, type Reading, readLog } from "./read.ts";

/** The log from its first change: for servers that have no snapshots. */
export const FIRST_CHANGE = "-1";

/** `sse`: one request for whatever comes within a minute; `long-poll`: one for each piece of news. */
export type Live = "long-poll" | "sse";

export interface Following {
  http: Http;
  timer: Timer;
  signal: AbortSignal;
  scope: Scope;
  /** Where to begin. */
  offset: string;
  /** How often to look where the server does not let readers wait. */
  pollMs: number;
  /** Who tells that a scope has moved, instead of reads that wait. */
  wakes: Wakes;
  /** How to wait for more. */
  live: Live;
  /** Takes a chunk; the next is read when it is done. */
  onChunk(chunk: Chunk): Promise<void> | void;
  /** The log does not hold the place any more: what was read counts no longer, and all is read again. */
  onGone(): Promise<void> | void;
}

/** A stream that lasts no longer has brought its reader nothing. */
const SHORT_MS = 1_000;

/** Reads until the signal aborts. Throws what neither time nor another credential mends: the scope is not there, say. */
export async function follow(following: Following): Promise<void> {
  const { scope, signal, wakes } = following;
  let { offset, live } = following;
  let [isLive, cursor]: [boolean, string | undefined] = [false, undefined];
  const take = async (chunk: Chunk) => {
    await following.onChunk(chunk);
    ({ next: offset, cursor } = chunk);
    return chunk.isEnd;
  };
  while (!signal.aborted) {
    if (isLive && wakes.isOpen) {
      await wakes.next(scope, offset, signal);
      [isLive, cursor] = [false, undefined];
    }
    const reading = { offset, live: isLive, cursor, signal };
    try {
      if (isLive && live === "sse") await listen(following, reading, take);
      else isLive = await look(following, reading, take);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof NoStream) live = "long-poll";
      else [offset, isLive, cursor] = [await restart(error, offset, following), false, undefined];
    }
  }
}

type Take = (chunk: Chunk) => Promise<boolean>;

function insisted<T>({ timer, signal, http }: Following, act: () => Promise<T>): Promise<T> {
  return insist(act, { timer, signal, credential: http.credential });
}

/** One read, which may wait. Whether it came to the end. */
async function look(following: Following, reading: Reading, take: Take): Promise<boolean> {
  const { http, timer, signal, scope, pollMs } = following;
  const chunk = await insisted(following, () => readLog(http, scope, reading));
  const isEnd = await take(chunk);
  // Asked to wait, this server answered at once.
  if (reading.live && chunk.cursor === undefined) await timer.wait(pollMs, signal);
  return isEnd;
}

/** One stream, until it ends or breaks off. */
async function listen(following: Following, reading: Reading, take: Take): Promise<void> {
  const { http, timer, signal, scope, pollMs } = following;
  const since = timer.now();
  try {
    for await (const chunk of await insisted(following, () => openStream(http, scope, reading)))
      await take(chunk);
  } catch (error) {
    // The next request tells whether anybody is there.
    if (!(error instanceof NetworkError)) throw error;
  }
  // Who ends each stream as soon as it has begun is not to be asked for the next at once.
  if (timer.now() - since < SHORT_MS) await timer.wait(pollMs, signal);
}

/** Where to begin again after an offset that was refused. */
async function restart(error: unknown, offset: string, { onGone }: Following): Promise<string> {
  if (offset === START && hasCode(error, "invalid-offset")) return FIRST_CHANGE;
  if (offset === START || offset === FIRST_CHANGE || !hasCode(error, "offset-gone")) throw error;
  await onGone();
  return START;
}
