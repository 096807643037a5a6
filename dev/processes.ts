/**
 * Child processes that are stopped surely: by id, in their own group, first asked, then killed.
 */
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { identityOf, isAlive } from "../scripts/lock.mjs";
import { STATE } from "./paths.ts";

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

const REMEMBERED = join(STATE, "child");

/** Notes a child whose parent may be killed before it can stop it. */
export function remember(child: ChildProcess): void {
  writeFileSync(REMEMBERED, identityOf(child.pid ?? 0));
}

/** Ends the noted child of a parent that was killed; a later process with the same id is left alone. */
export function stopForgotten(): void {
  if (!existsSync(REMEMBERED)) return;
  const identity = readFileSync(REMEMBERED, "utf8");
  if (isAlive(identity)) signalGroup(Number(identity.split(" ")[0]), "SIGKILL");
  rmSync(REMEMBERED, { force: true });
}
