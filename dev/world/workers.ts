/**
 * The built Worker in miniflare, as often as asked, all sharing the Durable Objects of the first: what is true across
 * isolates can only be tested with more than one. Bindings and variables come from `wrangler.toml`.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare, type V4WorkerOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import { LOOPBACK } from "../ports.ts";

export interface WorkersOptions {
  /** Folder of `wrangler.toml` and `build/`. */
  root: string;
  /** Replace or add to the variables of `wrangler.toml`. */
  vars: Record<string, string>;
  isolates: number;
  /** Folder of what objects and caches keep; else it goes with them. */
  storage?: string;
  /** A binding whose objects fail every call, as objects do that are overloaded or cannot start. */
  broken?: string | undefined;
}

export interface Workers {
  /** Base URL of each isolate. */
  apis: string[];
  logs: string[];
  evict(objectClass: string, name: string): Promise<void>;
  stop(): Promise<void>;
}

/** The first Worker has the name of `wrangler.toml`'s; the others add a letter. */
export async function startWorkers(options: WorkersOptions): Promise<Workers> {
  const logs: string[] = [];
  const first = workerOptions(options);
  const name = first.name ?? "worker";
  const names = [name, ...["b", "c", "d"].map((letter) => `${name}-${letter}`)].slice(0, options.isolates);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: LOOPBACK,
      port: 0,
      ...(options.storage === undefined ? {} : { resourcePersistencePath: options.storage }),
      handleStructuredLogs: ({ message }) => logs.push(message),
      workers: [...names.map((own) => isolate(first, name, own, options.broken)), ...failing(options.broken)],
    }),
  );
  const urls = await Promise.all(names.map((own) => miniflare.unsafeGetDirectURL(own)));
  return {
    apis: urls.map((url) => url.origin),
    logs,
    evict: (objectClass, object) => miniflare.unsafeEvictDurableObject(name, objectClass, { name: object }),
    stop: () => miniflare.dispose(),
  };
}

function workerOptions({ root, vars }: WorkersOptions): V4WorkerOptions & { name?: string } {
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join(root, "wrangler.toml"));
  const { modulesRules: _rules, ...options } = workerOptions;
  const build = join(root, "build");
  return {
    ...options,
    bindings: { ...(options.bindings as object), ...vars },
    modulesRoot: build,
    modules: modulesOf(build),
  } as V4WorkerOptions & { name?: string };
}

/** The entry comes first; beside it lies the WebAssembly that it imports. */
function modulesOf(build: string): { type: string; path: string }[] {
  if (!existsSync(join(build, "index.js"))) throw new Error("there is no build/ yet: npm run build");
  const wasm = readdirSync(build).filter((name) => name.endsWith(".wasm"));
  return [
    { type: "ESModule", path: join(build, "index.js") },
    ...wasm.map((name) => ({ type: "CompiledWasm", path: join(build, name) })),
  ];
}

const FAILING = "Failing";

/** A Worker of its own with a class that throws. */
function failing(broken?: string): V4WorkerOptions[] {
  if (broken === undefined) return [];
  const script = `import { DurableObject } from "cloudflare:workers";
    export class ${FAILING} extends DurableObject { fetch() { throw new Error("the object is overloaded"); } }
    export default { fetch: () => new Response(null, { status: 404 }) };`;
  const objects = { OWN: { className: FAILING, useSQLite: true } };
  const compatibilityDate = "2026-11-01";
  return [
    { name: FAILING, modules: true, script, compatibilityDate, durableObjects: objects } as V4WorkerOptions,
  ];
}

type Designators = Record<string, string | { className: string; useSQLite?: boolean }>;

/** Each listens on a port of its own. Objects belong to the Worker `owner`; the others reach them by its name. */
function isolate(first: V4WorkerOptions, owner: string, name: string, broken?: string): V4WorkerOptions {
  const sockets = [{ host: LOOPBACK, port: 0 }];
  const durableObjects = Object.fromEntries(
    Object.entries((first.durableObjects ?? {}) as Designators).map(([binding, designator]) => {
      const own = typeof designator === "string" ? { className: designator } : designator;
      if (binding === broken) return [binding, { className: FAILING, scriptName: FAILING, useSQLite: true }];
      return [binding, name === owner ? own : { ...own, scriptName: owner }];
    }),
  );
  return { ...first, name, durableObjects, unsafeDirectSockets: sockets } as V4WorkerOptions;
}
