/**
 * The whole local stack of one checkout: services, Worker, and `.drey/dev.json` with every address. One at a time.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { holderOf, takeLock } from "../scripts/lock.mjs";
import { ROOT, STATE } from "./paths.ts";
import { freePort, requireFreePort } from "./ports.ts";
import { hasEnded, stopChild, stopForgotten } from "./processes.ts";
import { type Services, startServices } from "./services.ts";
import { startWrangler, type Wrangler } from "./wrangler.ts";

/** What `.drey/dev.json` holds. */
export interface Addresses {
  api: string;
  issuer: string;
  /** Superuser's connection string. */
  postgres: string;
  neon: string;
  redis: string;
  /** The bearer token of the operator's routes; the file is readable by its owner alone. */
  operator_token: string;
}

export interface Stack {
  addresses: Addresses;
  redisEngine: string;
  /** Resolves when wrangler ends by itself. */
  ended: Promise<number>;
  stop(): Promise<void>;
}

export interface StackOptions {
  /** The API's port; 0 picks a free one. */
  port: number;
  /** Replace what the stack would set. */
  vars: Record<string, string>;
  progress: (step: string) => void;
  /** Keep the Worker's lines out of the terminal: they go to `.drey/worker.log`. */
  quiet?: boolean;
  /** Aborted when the start is no longer wanted. */
  cancelled: AbortSignal;
}

export const ADDRESSES = join(STATE, "dev.json");

export async function startStack(options: StackOptions): Promise<Stack> {
  const release = takeLock("dev");
  if (!release) {
    await requirePort(options.port);
    throw new Error(`process ${holderOf("dev")} runs the stack of this checkout already, see .drey/dev.json`);
  }
  const undo: (() => Promise<void> | void)[] = [release];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    return { ...(await start(options, undo)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function requirePort(port: number): Promise<void> {
  if (port !== 0) await requireFreePort(port);
}

async function start(
  options: StackOptions,
  undo: (() => Promise<void> | void)[],
): Promise<Omit<Stack, "stop">> {
  const { progress, cancelled } = options;
  mkdirSync(STATE, { recursive: true });
  // What a killed stack left behind may hold our port.
  await stopForgotten();
  await requirePort(options.port);
  await build(cancelled);
  const data = join(STATE, "postgres");
  const issuerPort = await preferredIssuerPort();
  const services = await startServices({
    data,
    database: databaseName(),
    disposable: false,
    issuerPort,
    progress,
  });
  undo.push(() => services.stop());
  cancelled.throwIfAborted();
  progress("starting the Worker (wrangler dev)");
  const port = options.port || (await freePort());
  const wrangler = await startWrangler(port, { ...services.vars, ...options.vars }, options.quiet ?? false);
  undo.push(() => wrangler.stop());
  const addresses = addressesOf(services, wrangler);
  writeFileSync(ADDRESSES, `${JSON.stringify(addresses, null, 2)}\n`, { mode: 0o600 });
  undo.push(() => rmSync(ADDRESSES, { force: true }));
  return { addresses, redisEngine: services.redisEngine, ended: wrangler.ended };
}

const ISSUER_PORT = join(STATE, "issuer-port");

/**
 * The issuer's address is part of every user's identity: at another one, the users of yesterday would be strangers to
 * their own organisations. So it keeps its port from start to start, as long as nobody else took it.
 */
async function preferredIssuerPort(): Promise<number> {
  const last = existsSync(ISSUER_PORT) ? Number(readFileSync(ISSUER_PORT, "utf8")) : 0;
  const free = await requirePort(last).then(
    () => true,
    () => false,
  );
  const port = free && last !== 0 ? last : await freePort();
  writeFileSync(ISSUER_PORT, String(port));
  return port;
}

/** The database that DATABASE_URL names, unless it is the one every server has. */
function databaseName(): string {
  const named = new URL(process.env.DATABASE_URL ?? "postgres://127.0.0.1").pathname.slice(1);
  return ["", "postgres"].includes(named) ? "drey" : named;
}

/** wrangler runs the same command itself; run here first, a failed build says so before anything else starts. */
async function build(cancelled: AbortSignal): Promise<void> {
  const child = spawn(process.execPath, ["scripts/build-worker.mjs"], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
    detached: true,
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  cancelled.addEventListener("abort", () => void stopChild(child, "SIGTERM"), { once: true });
  const code = await ended;
  cancelled.throwIfAborted();
  if (hasEnded(child) && code !== 0) throw new Error("the Worker was not built; the output above says why");
}

function addressesOf(services: Services, wrangler: Wrangler): Addresses {
  return {
    api: wrangler.api,
    issuer: services.issuer.url,
    postgres: services.database.url,
    neon: services.neon.sql,
    redis: services.redis.url,
    operator_token: services.vars.OPERATOR_TOKEN ?? "",
  };
}
