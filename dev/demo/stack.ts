/**
 * The stack that the demo drives: the one that runs, else one of its own that it stops again.
 *
 * In scope: finding, starting, stopping. Out of scope: the stack itself (dev/stack.ts).
 */
import { readFileSync } from "node:fs";
import { holderOf, takeLock } from "../../scripts/lock.mjs";
import { ADDRESSES, type Addresses, startStack } from "../stack.ts";

export type { Addresses };

export interface Found {
  addresses: Addresses;
  /** Whether the demo started it. */
  own: boolean;
  stop(): Promise<void>;
}

export async function findOrStart(progress: (step: string) => void, cancelled: AbortSignal): Promise<Found> {
  const running = (await findRunning()) ?? (await waitForRunning(progress, cancelled));
  if (running) return { addresses: running, own: false, stop: async () => {} };
  // A machine that is still busy with starting is not a gate that is down.
  const vars = { LOG_FORMAT: "json", GATE_TIMEOUT_MS: "9000", ...limitScale() };
  const stack = await startStack({ port: 0, vars, quiet: true, progress, cancelled });
  return { addresses: stack.addresses, own: true, stop: () => stack.stop() };
}

/** `.drey/dev.json` may be left from a stack that was killed: only an API that answers counts. */
async function findRunning(): Promise<Addresses | undefined> {
  try {
    const addresses = JSON.parse(readFileSync(ADDRESSES, "utf8")) as Addresses;
    const answer = await fetch(`${addresses.api}/healthz`, { signal: AbortSignal.timeout(2_000) });
    return answer.ok ? addresses : undefined;
  } catch {
    return undefined;
  }
}

/** While a stack starts or builds its Worker anew, its API does not answer yet. */
async function waitForRunning(
  progress: (step: string) => void,
  cancelled: AbortSignal,
): Promise<Addresses | undefined> {
  if (isFree()) return undefined;
  progress(`waiting for the stack of process ${holderOf("dev")}, which starts or builds`);
  while (!cancelled.aborted && !isFree()) {
    const running = await findRunning();
    if (running) return running;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return undefined;
}

function isFree(): boolean {
  const release = takeLock("dev");
  release?.();
  return release !== undefined;
}

function limitScale(): Record<string, string> {
  const scale = process.env.LIMIT_SCALE;
  return scale === undefined ? {} : { LIMIT_SCALE: scale };
}
