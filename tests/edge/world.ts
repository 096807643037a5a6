/**
 * The world that tests run in: Postgres, the stand-ins and (for `tests/edge`) the built Worker three times over.
 * Vitest's global set-up (`dev/world/setup.ts`) starts it once per project; this file only knows the addresses.
 * All files of a project share it and run side by side: make your own users and tenants, clear nothing that is not yours.
 */
import { inject } from "vitest";
import type { Cell as CellAddresses } from "../../dev/world/addresses.ts";

/** The classes of the Durable Objects that `evict` can name. */
export type ObjectClass = "Metrics" | "PresenceShard" | "ScopeFeed" | "WorkspaceGate" | "WorkspacePresence";

/** Claims of a token; what is absent gets the issuer's default (`EdDSA`, an hour, the Worker's own audience). */
export interface Claims {
  sub?: string;
  email?: string;
  name?: string;
  alg?: "EdDSA" | "RS256" | "ES256";
  /** Seconds from now; negative for a token that has expired. */
  expires_in?: number;
  aud?: string;
  iss?: string;
  nbf?: number;
  iat?: number;
  kid?: string;
  [claim: string]: unknown;
}

/** One set of Workers with their own Durable Objects, in a process of their own. */
export interface Cell {
  /** Base URL of the first isolate. */
  api: string;
  /** Base URL of each isolate; all share the Durable Objects of the first. */
  apis: string[];
  /** Ends the object named `name`: what it held in memory is gone, its storage stays. */
  evict(objectClass: ObjectClass, name: string): Promise<void>;
  /** What the Workers wrote to the console so far. */
  logs(): Promise<string[]>;
  /** In which log or file of objects and caches this text stands. */
  search(text: string): Promise<string[]>;
}

/** A `Cell` of one test, which that test stops (`await using` does). */
export interface OwnCell extends Cell, AsyncDisposable {
  stop(): Promise<void>;
}

export interface CellOptions {
  isolates?: 1 | 2 | 3;
  /** A binding whose objects fail every call. */
  broken?: "GATE" | "METRICS" | "PRESENCE" | "PRESENCE_SHARD" | "SCOPE_FEED";
}

export interface World extends Cell {
  apis: [string, string, string];
  issuer: string;
  /** Where the Neon stand-in takes statements. */
  neonUrl: string;
  /** Connection string of the restricted role, for the `Neon-Connection-String` header. */
  neonConnection: string;
  neonAdmin: string;
  redisUrl: string;
  redisToken: string;
  redisAdmin: string;
  /** The migrated database as superuser. */
  databaseUrl: string;
  /** The same as the Worker's restricted role. */
  appDatabaseUrl: string;
  /** The bearer token of the operator's routes. */
  operatorToken: string;
  /** A signed JWT. */
  token(claims: Claims): Promise<string>;
  /** Another set of Workers on the same database and stand-ins, with some variables of its own. */
  restart(vars: Record<string, string>, options?: CellOptions): Promise<OwnCell>;
}

export function world(): World {
  const addresses = inject("world");
  const { apis, cell: _cell, control, ...others } = addresses;
  // `api` is a getter that may throw, so the cell is extended and not spread.
  return Object.assign(cellOf(addresses), {
    ...others,
    apis: apis as [string, string, string],
    token: async (claims: Claims) => {
      const answer = await post(`${addresses.issuer}/token`, claims);
      return (answer as { access_token: string }).access_token;
    },
    restart: async (vars: Record<string, string>, options: CellOptions = {}) => {
      const started = (await post(`${control}/cells`, { vars, ...options })) as CellAddresses;
      const stop = async () => {
        await fetch(started.cell, { method: "DELETE" });
      };
      return Object.assign(cellOf(started), { stop, [Symbol.asyncDispose]: stop });
    },
  });
}

/** A new database on the same server; `await using` drops it. */
export interface TestDatabase extends AsyncDisposable {
  url: string;
  appUrl: string;
  drop(): Promise<void>;
}

/** Migrated and without rows. */
export function freshDatabase(): Promise<TestDatabase> {
  return makeDatabase("migrated");
}

/** Without any table. */
export function emptyDatabase(): Promise<TestDatabase> {
  return makeDatabase("empty");
}

async function makeDatabase(kind: "migrated" | "empty"): Promise<TestDatabase> {
  const made = (await post(`${inject("world").control}/databases`, { kind })) as Record<string, string>;
  const { name = "", url = "", appUrl = "" } = made;
  const drop = async () => {
    await fetch(`${inject("world").control}/databases/${name}`, { method: "DELETE" });
  };
  return { url, appUrl, drop, [Symbol.asyncDispose]: drop };
}

/**
 * Tries until the answer is truthy. An attempt that began past the deadline is the last one, and throws, naming what was waited
 * for: however long an attempt takes on a busy machine, what has to be true by then is true for it.
 */
export async function poll<T>(
  what: string,
  attempt: () => Promise<T | undefined | false | null>,
  deadlineMs = 10_000,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const isLast = Date.now() > deadline;
    const answer = await attempt();
    if (answer) return answer;
    if (isLast) throw new Error(`waited ${deadlineMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function cellOf({ apis, cell }: CellAddresses): Cell {
  return {
    get api() {
      if (!apis[0]) throw new Error("this vitest project starts no Workers: put the test under tests/edge");
      return apis[0];
    },
    apis,
    evict: async (objectClass, name) => {
      await post(`${cell}/evict`, { objectClass, name });
    },
    logs: async () => (await (await fetch(`${cell}/logs`)).json()) as string[],
    search: async (text) => (await post(`${cell}/search`, { text })) as string[],
  };
}

async function post(url: string, body: unknown): Promise<unknown> {
  const answer = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${text}`);
  return JSON.parse(text);
}
