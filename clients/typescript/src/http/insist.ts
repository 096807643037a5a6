/**
 * Repeating what may succeed later: by the server's hints, with jitter, and with another credential once there is one.
 */
import type { Timer } from "../timer.ts";
import { backoffMs } from "./backoff.ts";
import type { Credential } from "./credential.ts";
import { isCredential, isTransient, NetworkError } from "./errors.ts";

export interface Insisting {
  timer: Timer;
  credential: Credential;
  signal: AbortSignal;
  /** How often to try when nobody waits for a credential; for ever if absent. */
  tries?: number;
}

/** The answer of `act`. Throws what is not transient, and `NetworkError` when the signal aborts. */
export async function insist<T>(act: () => Promise<T>, parts: Insisting): Promise<T> {
  const { credential, signal, tries = Number.POSITIVE_INFINITY } = parts;
  for (let attempt = 0; ; attempt += 1) {
    if (signal.aborted) throw new NetworkError("closed");
    try {
      return await act();
    } catch (error) {
      if (isCredential(error) && tries === Number.POSITIVE_INFINITY) await credential.renewed(signal);
      else if (isTransient(error) && attempt + 1 < tries) await wait(error.retryAfterMs, attempt, parts);
      else throw error;
    }
  }
}

function wait(hintMs: number, attempt: number, { timer, signal }: Insisting): Promise<void> {
  return timer.wait(backoffMs(attempt, hintMs, timer.random()), signal);
}
