/**
 * One side of a comparison: a Worker in a workerd of its own, so that its processor time and memory are its own.
 * drey and its peers are started by the same lines: same workerd, same options, one isolate unless more are asked for,
 * each listening directly (no proxy in front).
 */
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import { convertV4MiniflareOptions, Miniflare, type V4WorkerOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import { LOOPBACK } from "../dev/ports.ts";
import { childrenOf } from "./proc.ts";
import { onlyOurs } from "./signals.ts";

/** A running side. */
export interface Cell {
  /** Base URL of each isolate. */
  apis: string[];
  /** The process that does the work. */
  pid: number;
  /** V8's inspector of the first isolate, if it was asked for. */
  inspector?: string;
  stop(): Promise<void>;
}

export interface CellOptions {
  vars: Record<string, string>;
  isolates?: number;
  /** Without: the Cache API holds nothing. */
  cache?: boolean;
  /** Whether V8's inspector listens; a peer is not minified then. */
  inspected?: boolean;
}

type Worker = V4WorkerOptions & { name?: string };

/** `root` holds `wrangler.toml` and `build/`. */
export function startDrey(root: string, options: CellOptions): Promise<Cell> {
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join(root, "wrangler.toml"));
  const { modulesRules: _rules, ...worker } = workerOptions;
  const folder = join(root, "build");
  const wasm = readdirSync(folder).filter((name) => name.endsWith(".wasm"));
  return startCell(
    {
      ...worker,
      bindings: { ...(worker.bindings as object), ...options.vars },
      modulesRoot: folder,
      modules: [
        { type: "ESModule", path: join(folder, "index.js") },
        ...wasm.map((name) => ({ type: "CompiledWasm", path: join(folder, name) })),
      ],
    } as Worker,
    options,
  );
}

/** A TypeScript Worker, bundled and minified as wrangler would for production; `objects` by binding. */
export async function startPeer(
  root: string,
  entry: string,
  objects: Record<string, string>,
  options: CellOptions,
): Promise<Cell> {
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join(root, "wrangler.toml"));
  const bundled = await build({
    entryPoints: [join(import.meta.dirname, "peers", entry)],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    minify: !options.inspected,
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*"],
    plugins: [forAnyRedis],
  });
  const contents = bundled.outputFiles[0]?.text ?? "";
  const durableObjects = Object.fromEntries(
    Object.entries(objects).map(([binding, className]) => [binding, { className, useSQLite: true }]),
  );
  const peer = {
    name: "peer",
    compatibilityDate: workerOptions.compatibilityDate as string,
    bindings: options.vars,
    durableObjects,
    modules: [{ type: "ESModule", path: "index.mjs", contents }],
  };
  return startCell(peer as Worker, options);
}

/** A peer in Node, as its users run it; its processor time is the whole process'. It prints its address. */
export async function startNode(entry: string, args: string[]): Promise<Cell> {
  const child = fork(join(import.meta.dirname, "peers", entry), args, { stdio: "pipe" });
  const [line] = (await once(child.stdout ?? child, "data")) as [Buffer];
  const stop = async () => {
    const ended = once(child, "exit");
    child.disconnect();
    await ended;
  };
  return { apis: [String(line).trim()], pid: child.pid ?? 0, stop };
}

/**
 * `@upstash/ratelimit`'s scripts name a flag that only Upstash's own Redis knows and any other refuses. It is taken out,
 * and the scripts' hashes follow, so that it costs one EVALSHA per decision as it does there.
 */
const forAnyRedis: Plugin = {
  name: "for any Redis",
  setup: ({ onLoad }) =>
    onLoad({ filter: /@upstash\/ratelimit\/dist\/index\.m?js$/ }, async ({ path }) => {
      let contents = await readFile(path, "utf8");
      for (const [, script = ""] of contents.matchAll(/`(#!lua flags=allow-key-locking[^`]*)`/g)) {
        const plain = script.replace(" flags=allow-key-locking", "");
        contents = contents.replace(script, () => plain).replaceAll(sha1(script), sha1(plain));
      }
      return { contents };
    }),
};

function sha1(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}

async function startCell(worker: Worker, options: CellOptions): Promise<Cell> {
  const name = worker.name ?? "worker";
  const names = [name, `${name}-b`, `${name}-c`].slice(0, options.isolates ?? 1);
  const before = new Set(childrenOf(process.pid, "workerd"));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: LOOPBACK,
      port: 0,
      cache: options.cache ?? true,
      ...(options.inspected ? { inspectorPort: 0 } : {}),
      // Both sides write a line per request; nobody wants to see a million of them.
      handleStructuredLogs: (line) => process.env.BENCH_LOGS && console.error(line.message),
      workers: names.map((own) => isolate(worker, name, own)),
    } as Parameters<typeof convertV4MiniflareOptions>[0]),
  );
  const urls = await Promise.all(names.map((own) => miniflare.unsafeGetDirectURL(own)));
  onlyOurs();
  const [pid] = childrenOf(process.pid, "workerd").filter((child) => !before.has(child));
  if (pid === undefined) throw new Error("workerd runs, but not as a child of this process");
  const inspector = options.inspected
    ? { inspector: await inspectorOf(await miniflare.getInspectorURL()) }
    : {};
  return { apis: urls.map((url) => url.origin), pid, ...inspector, stop: () => miniflare.dispose() };
}

async function inspectorOf(url: URL): Promise<string> {
  const answer = await fetch(`http://${url.host}/json/list`);
  const [first] = (await answer.json()) as { webSocketDebuggerUrl: string }[];
  return first?.webSocketDebuggerUrl ?? "";
}

type Designators = Record<string, string | { className: string; useSQLite?: boolean }>;

/** Objects belong to the first isolate; the others reach them by its name. */
function isolate(first: Worker, owner: string, name: string): Worker {
  const durableObjects = Object.fromEntries(
    Object.entries((first.durableObjects ?? {}) as Designators).map(([binding, designator]) => {
      const own = typeof designator === "string" ? { className: designator } : designator;
      return [binding, name === owner ? own : { ...own, scriptName: owner }];
    }),
  );
  const unsafeDirectSockets = [{ host: LOOPBACK, port: 0 }];
  return { ...first, name, durableObjects, unsafeDirectSockets } as Worker;
}
