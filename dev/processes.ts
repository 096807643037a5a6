/**
 * Child processes that are stopped surely: by id, in their own group, first asked, then killed.
 */
import type { ChildProcess } from "node:child_process";

/** After this long a process that was asked to stop is killed. */
const GRACE_MS = 5_000;

/** Stops a child that was spawned `detached` (its group has its id) and waits until it is gone. */
export async function stopChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || hasEnded(child)) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  signalGroup(child.pid, signal);
  const kill = setTimeout(() => signalGroup(child.pid ?? 0, "SIGKILL"), GRACE_MS);
  await ended;
  clearTimeout(kill);
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** A group that is gone already needs no signal. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    if (pid > 0) process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
