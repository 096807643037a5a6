/**
 * How a connection to a room ended, and when to come back.
 */
import { backoffMs } from "../http/backoff.ts";
import type { Frame } from "./frames.ts";

export interface End {
  /** The close code; 1006 for a connection that ended without a word, or never began. */
  code: number;
  detail: string;
  /** What the room asked for before it closed. */
  retryAfterMs?: number | undefined;
  /** Since `hello`; none if that never came. */
  livedMs?: number | undefined;
}

export const LOST: End = { code: 1006, detail: "the connection was lost" };

const RESTARTED = 1012;
/** The credential is not good any more. */
export const EXPIRED = 4401;
/** Not ours to mend by coming back: frames that the room cannot read, a newer connection of this client, no workspace. */
const FINAL = [1003, 1007, 1009, 4409, 4410];
/** Who was in for so long begins to count anew. */
const STEADY_MS = 10_000;

export function isFinal({ code }: End): boolean {
  return FINAL.includes(code);
}

export function wasSteady({ livedMs = 0 }: End): boolean {
  return livedMs >= STEADY_MS;
}

/** The end as the room told it in its last frame, if it did. */
export function toldEnd(
  code: number,
  reason: string,
  told: Extract<Frame, { kind: "error" }> | undefined,
): End {
  // A proxy in between closes with codes of its own.
  if (!told) return { code, detail: reason || LOST.detail };
  return { code: told.code, detail: told.detail, retryAfterMs: told.retry_after_ms };
}

/** A room that is restarted has spread its clients already; otherwise they spread themselves. */
export function comeBackMs({ code, retryAfterMs }: End, attempt: number, random: number): number {
  if (code === RESTARTED) return retryAfterMs ?? 1_000 * random;
  return backoffMs(attempt, retryAfterMs ?? 0, random);
}
