/**
 * Which Redis stands behind the REST interface: the one of REDIS_URL, a `redis-server` on PATH, or the in-process one.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { freePort, LOOPBACK } from "../ports.ts";
import { hasEnded, remember, stopChild } from "../processes.ts";
import { MemoryEngine } from "./memory.ts";
import { RealEngine } from "./real.ts";
import type { Engine } from "./reply.ts";

export async function chooseEngine(): Promise<Engine> {
  return (await realEngine()) ?? new MemoryEngine();
}

/** Undefined when this machine has no Redis. */
export async function realEngine(): Promise<Engine | undefined> {
  const url = process.env.REDIS_URL;
  if (url) return RealEngine.connect(url, `Redis at ${new URL(url).host}`);
  return hasServer() ? startServer() : undefined;
}

function hasServer(): boolean {
  return spawnSync("redis-server", ["--version"]).status === 0;
}

/** A server that keeps nothing on disk and ends with the stack. */
async function startServer(): Promise<Engine> {
  const port = await freePort();
  const args = ["--port", String(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no", "--dir", "/"];
  const child = spawn("redis-server", args, { stdio: "ignore", detached: true });
  await started(child);
  remember(child);
  const engine = await RealEngine.connect(`redis://${LOOPBACK}:${port}`, "redis-server");
  const close = async () => {
    await engine.close();
    await stopChild(child, "SIGTERM");
  };
  return {
    name: engine.name,
    execute: (command) => engine.execute(command),
    transaction: (commands) => engine.transaction(commands),
    close,
  };
}

function started(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
    if (hasEnded(child)) reject(new Error("redis-server ended at once"));
  });
}
