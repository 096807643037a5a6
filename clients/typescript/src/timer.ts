/**
 * Time and chance as arguments, so that tests neither sleep nor guess. Deadlines of requests are not among them.
 */

export interface Timer {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms`, or at once when the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  /** At least 0, less than 1. */
  random(): number;
}

/** What `setTimeout` can count; beyond it, it does not wait at all. */
const LONGEST_MS = 2 ** 31 - 1;

export const systemTimer: Timer = {
  now: () => Date.now(),
  random: () => Math.random(),
  wait: (ms, signal) =>
    new Promise((resolve) => {
      const done = () => {
        clearTimeout(timeout);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timeout = setTimeout(done, Math.min(ms, LONGEST_MS));
      signal.addEventListener("abort", done);
      if (signal.aborted) done();
    }),
};
