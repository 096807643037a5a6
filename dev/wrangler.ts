/**
 * `wrangler dev` as a child: the real command on the real `wrangler.toml`, with the variables of the local stack.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { delay } from "./faults.ts";
import { program, ROOT, STATE } from "./paths.ts";
import { freePort, LOOPBACK } from "./ports.ts";
import { hasEnded, remember, stopChild } from "./processes.ts";

export interface Wrangler {
  api: string;
  /** Resolves with the exit code when wrangler ends, asked or not. */
  ended: Promise<number>;
  stop(): Promise<void>;
}

/** A cold start compiles the WebAssembly; the build itself is done before. */
const READY_DEADLINE_MS = 120_000;

/** Where the Worker's lines go when the terminal belongs to somebody else. */
export const WORKER_LOG = join(STATE, "worker.log");

export async function startWrangler(
  port: number,
  vars: Record<string, string>,
  quiet: boolean,
): Promise<Wrangler> {
  const output = quiet ? openSync(WORKER_LOG, "w") : "inherit";
  const child = spawn(program("wrangler"), await argumentsFor(port, vars), {
    cwd: ROOT,
    stdio: ["ignore", output, output],
    env: { ...process.env, ...ENVIRONMENT },
    // Its own process group: it is stopped whole, workerd included, and not by the terminal's Ctrl-C.
    detached: true,
  });
  remember(child);
  const ended = new Promise<number>((resolve) => child.once("exit", (code) => resolve(code ?? 1)));
  const api = `http://${LOOPBACK}:${port}`;
  await ready(child, api);
  return { api, ended, stop: () => stopChild(child, "SIGTERM") };
}

/** No metrics, no prompts, no look-ups in the network: the stack works without any. */
const ENVIRONMENT = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_NO_SKILLS_UPDATE_PROMPTS: "true",
  WRANGLER_WRITE_LOGS: "false",
  WRANGLER_REGISTRY_PATH: join(STATE, "wrangler-registry"),
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
};

async function argumentsFor(port: number, vars: Record<string, string>): Promise<string[]> {
  const file = join(STATE, "dev.vars");
  const lines = Object.entries(vars).map(([name, value]) => `${name}='${value}'`);
  // Some are secrets: a file of this user's, because everybody may read a command line.
  writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 });
  const options: Record<string, string> = {
    ip: LOOPBACK,
    port: String(port),
    "inspector-port": String(await freePort()),
    "env-file": file,
    "persist-to": join(STATE, "wrangler"),
    "show-interactive-dev-session": "false",
  };
  return ["dev", ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])];
}

/** Ready is when the Worker itself answers, not when the port is open. */
async function ready(child: ChildProcess, api: string): Promise<void> {
  const deadline = Date.now() + READY_DEADLINE_MS;
  while (!(await answers(`${api}/healthz`))) {
    const late = Date.now() > deadline;
    if (late) await stopChild(child, "SIGTERM");
    if (late || hasEnded(child))
      throw new Error(`wrangler dev did not start; its output says why (above, or in ${WORKER_LOG})`);
    await delay(50);
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(5_000) });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}
