/**
 * What the client's tests share: clients of a place of the test's own, with stores, timers and networks of its own.
 *
 * In scope: arranging. Out of scope: the place itself (`tests/edge/actors.ts`).
 */
import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { type OwnedWorkspace, trace } from "../../../tests/edge/actors.ts";
import { Client, indexedDbStore, memoryStore, type Options, type Store, type Timer } from "../src/index.ts";

globalThis.IDBKeyRange = IDBKeyRange;

/** Opens the same store each time, as a page does that is loaded again. */
export interface Disk {
  open(): Promise<Store>;
}

/** Each kind of store, by name. */
export const DISKS: [name: string, disk: () => Disk][] = [
  ["memory", memoryDisk],
  ["IndexedDB", indexedDbDisk],
];

export function memoryDisk(): Disk {
  const store = memoryStore();
  return { open: async () => store };
}

export function indexedDbDisk(): Disk {
  const factory = new IDBFactory();
  const name = `drey-${crypto.randomUUID()}`;
  return { open: () => indexedDbStore(name, factory) };
}

/** A timer that never makes anybody wait, and remembers for how long it should have. */
export interface QuickTimer extends Timer {
  waits: number[];
}

export function quickTimer(): QuickTimer {
  const waits: number[] = [];
  return {
    waits,
    now: () => Date.now(),
    random: () => 0.5,
    wait: async (ms) => {
      waits.push(ms);
      // A turn of the loop, so that a client that tries again and again starves nobody.
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** A client of the owner of `place`. */
export function clientOf(place: OwnedWorkspace, options: Partial<Options> = {}): Client {
  return new Client({
    api: place.owner.api,
    org: place.org_id,
    workspace: place.id,
    token: place.owner.token,
    clientName: "Tests",
    store: memoryStore(),
    timer: quickTimer(),
    ...options,
  });
}

/** A network of one client: it can be down, its requests are remembered, and faults can be aimed at them. */
export interface Network {
  fetch: typeof fetch;
  isDown: boolean;
  /** Answers are there, but do not arrive before this has resolved. */
  held: Promise<void>;
  /** Each request that went out. */
  sent: { method: string; path: string; query: string; headers: Headers; body: Record<string, unknown> }[];
  /** In each request's trace, for `neonFault`. */
  traceId: string;
}

export function network(): Network {
  const { id, traceparent } = trace();
  const one: Network = {
    isDown: false,
    held: Promise.resolve(),
    sent: [],
    traceId: id,
    fetch: async (input, init) => {
      if (one.isDown) throw new TypeError("fetch failed");
      const headers = new Headers(init?.headers);
      const body = init?.body ? JSON.parse(String(init.body)) : {};
      const { pathname: path, search: query } = new URL(String(input));
      one.sent.push({ method: init?.method ?? "GET", path, query, headers, body });
      headers.set("traceparent", traceparent);
      const answer = await fetch(input, { ...init, headers });
      await one.held;
      return answer;
    },
  };
  return one;
}

/** The mutations' numbers of each push that went out. */
export function pushes({ sent }: Network): number[][] {
  const bodies = sent.filter(({ path }) => path.endsWith("/sync/push")).map(({ body }) => body);
  return bodies.map(({ mutations }) => (mutations as { id: number }[]).map(({ id }) => id));
}

/** The next event of this name. */
export function next<Name extends Parameters<Client["on"]>[0]>(client: Client, name: Name) {
  return new Promise((resolve) => {
    const off = client.on(name, (event) => {
      off();
      resolve(event);
    });
  }) as Promise<Parameters<Parameters<typeof client.on<Name>>[1]>[0]>;
}
