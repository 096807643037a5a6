/**
 * Child processes that are stopped surely: by id, in their own group, first asked, then killed.
 */
import type { ChildProcess } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { identityOf, isAlive } from "../scripts/lock.mjs";
import { delay } from "./faults.ts";
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

/** One file per parent: its own identity, then its children's. */
const FAMILIES = join(STATE, "children");

/** Notes a child, spawned `detached`, whose parent may be killed before it can stop it. */
export function remember(child: ChildProcess): void {
  const file = join(FAMILIES, String(process.pid));
  if (!own.has(file)) {
    mkdirSync(FAMILIES, { recursive: true });
    writeFileSync(file, identityOf(process.pid));
    process.once("exit", () => rmSync(file, { force: true }));
    own.add(file);
  }
  appendFileSync(file, `\n${identityOf(child.pid ?? 0)}`);
}

const own = new Set<string>();

/** Ends the noted children of parents that were killed; a later process with the same id is left alone. */
export async function stopForgotten(): Promise<void> {
  if (!existsSync(FAMILIES)) return;
  for (const name of readdirSync(FAMILIES)) {
    const [parent = "", ...children] = readFileSync(join(FAMILIES, name), "utf8").split("\n");
    if (isAlive(parent)) continue;
    await Promise.all(children.map(stopIdentity));
    rmSync(join(FAMILIES, name), { force: true });
  }
}

async function stopIdentity(identity: string): Promise<void> {
  const deadline = Date.now() + GRACE_MS;
  if (isAlive(identity)) signalGroup(Number(identity.split(" ")[0]), "SIGTERM");
  while (isAlive(identity) && Date.now() < deadline) await delay(20);
  if (isAlive(identity)) signalGroup(Number(identity.split(" ")[0]), "SIGKILL");
}
