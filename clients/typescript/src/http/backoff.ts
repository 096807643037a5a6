/**
 * How long to wait before trying again.
 */

/** Before the first repetition at most this long. */
const BASE_MS = 250;
/** And never longer than this beyond what the server asks for. */
const CAP_MS = 30_000;

/**
 * Full jitter on top of the server's hint: clients that were refused together do not come back together, and none comes back
 * before it may. `attempt` counts from 0, `random` is at least 0 and less than 1.
 */
export function backoffMs(attempt: number, hintMs: number, random: number): number {
  return hintMs + random * Math.min(CAP_MS, BASE_MS * 2 ** attempt);
}
