/**
 * Reading a scope's log to its end, and on as it grows.
 */
import type { Scope } from "../api/types.ts";
import { hasCode } from "../http/errors.ts";
import type { Http } from "../http/http.ts";
import { insist } from "../http/insist.ts";
import { START } from "../queue/records.ts";
import type { Timer } from "../timer.ts";
import type { Wakes } from "../wakes.ts";
import { type Chunk, readLog } from "./read.ts";

/** The log from its first change: for servers that have no snapshots. */
export const FIRST_CHANGE = "-1";

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
  /** Takes a chunk; the next is read when it is done. */
  onChunk(chunk: Chunk): Promise<void> | void;
  /** The log does not hold the place any more: what was read counts no longer, and all is read again. */
  onGone(): Promise<void> | void;
}

/** Reads until the signal aborts. Throws what neither time nor another credential mends: the scope is not there, say. */
export async function follow(following: Following): Promise<void> {
  const { http, timer, signal, scope, wakes } = following;
  let { offset } = following;
  let [isLive, cursor]: [boolean, string | undefined] = [false, undefined];
  while (!signal.aborted) {
    try {
      if (isLive && wakes.isOpen) {
        await wakes.next(scope, offset, signal);
        [isLive, cursor] = [false, undefined];
      }
      const reading = { offset, live: isLive, cursor, signal };
      const act = () => readLog(http, scope, reading);
      const chunk: Chunk = await insist(act, { timer, signal, credential: http.credential });
      await following.onChunk(chunk);
      // Asked to wait, this server answered at once.
      if (isLive && chunk.cursor === undefined) await timer.wait(following.pollMs, signal);
      ({ next: offset, isEnd: isLive, cursor } = chunk);
    } catch (error) {
      if (signal.aborted) return;
      const next = await restart(error, offset, following);
      [offset, isLive, cursor] = [next, false, undefined];
    }
  }
}

/** Where to begin again after an offset that was refused. */
async function restart(error: unknown, offset: string, { onGone }: Following): Promise<string> {
  if (offset === START && hasCode(error, "invalid-offset")) return FIRST_CHANGE;
  if (offset === START || offset === FIRST_CHANGE || !hasCode(error, "offset-gone")) throw error;
  await onGone();
  return START;
}
