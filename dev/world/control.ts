/**
 * What tests may ask of the process that holds the world: more Workers, evictions, logs, databases.
 */
import { rm } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { createDatabase, dropDatabase, prepareDatabase, uniqueName } from "../database.ts";
import { type Listening, listen, readJson, sendJson } from "../http.ts";
import { ROOT } from "../paths.ts";
import type { Services } from "../services.ts";
import type { Cell } from "./addresses.ts";
import { Leaks } from "./leaks.ts";
import { startWorkers, type Workers } from "./workers.ts";

export interface Control extends Listening {
  startCell(vars: Record<string, string>, isolates: number, broken?: string): Promise<Cell>;
}

/** Every test calls from this machine's address: its limit for callers not seen before would make files wait for each other. */
const ONE_ADDRESS = { anonymous: { base: 100_000 }, "sign-in": { base: 100_000 } };

/**
 * A machine that is busy with other files is not a gate that is down: what isolates then admit by themselves would be
 * added to what tests count. It stays below the deadline of a request (10 s).
 */
const PATIENT = { GATE_TIMEOUT_MS: "9000" };

/** What a test orders. */
interface CellOrder {
  vars: Record<string, string>;
  isolates?: number;
  broken?: string;
}

interface Parts {
  services: Services;
  cells: Map<string, Workers>;
  /** Folder of the cells' storage. */
  data: string;
  leaks: Leaks;
}

export async function startControl(services: Services, data: string): Promise<Control> {
  const parts: Parts = { services, cells: new Map(), data, leaks: new Leaks(secretsOf(services)) };
  const listening = await listen(async (request, response) => {
    try {
      sendJson(response, 200, await route(parts, `http://${request.headers.host}`, request));
    } catch (error) {
      sendJson(response, 500, { message: (error as Error).stack });
    }
  });
  const close = async () => {
    await Promise.all([...parts.cells.keys()].map((id) => stopCell(parts, id)));
    await listening.close();
    const held = await fetch(`${services.redis.admin}/entries`);
    for (const entry of (await held.json()) as [string, string][])
      parts.leaks.inText("Redis", entry.join(" "));
    parts.leaks.end();
  };
  return {
    ...listening,
    close,
    startCell: (vars, isolates, broken) => startCell(parts, listening.url, vars, isolates, broken),
  };
}

async function route(parts: Parts, self: string, request: IncomingMessage): Promise<unknown> {
  const [, collection, id = "", action] = (request.url ?? "").split("/");
  const body = (request.method === "POST" ? await readJson(request) : {}) as Record<string, unknown>;
  switch ([request.method, collection, id && ":id", action].filter(Boolean).join(" ")) {
    case "POST databases":
      return makeDatabase(parts.services.serverUrl, body.kind === "empty");
    case "DELETE databases :id":
      await dropDatabase(parts.services.serverUrl, id);
      return {};
    case "POST cells": {
      const { vars, isolates = 1, broken } = body as unknown as CellOrder;
      return startCell(parts, self, vars, isolates, broken);
    }
    case "DELETE cells :id":
      return stopCell(parts, id);
    case "POST cells :id evict":
      await workersOf(parts, id).evict(String(body.objectClass), String(body.name));
      return {};
    case "GET cells :id logs":
      return workersOf(parts, id).logs;
    case "POST cells :id search":
      return search(parts, id, String(body.text));
    default:
      throw new Error(`the world has no ${request.method} ${request.url}`);
  }
}

async function startCell(
  parts: Parts,
  self: string,
  vars: Record<string, string>,
  isolates: number,
  broken?: string,
): Promise<Cell> {
  const id = crypto.randomUUID();
  const workers = await startWorkers({
    root: ROOT,
    storage: join(parts.data, id),
    vars: { ...parts.services.vars, ...PATIENT, ...vars, LIMITS: limits(vars.LIMITS) },
    isolates,
    broken,
  });
  parts.cells.set(id, workers);
  return { apis: workers.apis, cell: `${self}/cells/${id}` };
}

/** A test's own limits count; those it does not name are wide where all tests call from one address. */
function limits(own = "{}"): string {
  return JSON.stringify({ ...ONE_ADDRESS, ...JSON.parse(own) });
}

/** What it has said and kept is looked through once it has ended. */
async function stopCell(parts: Parts, id: string): Promise<object> {
  const workers = workersOf(parts, id);
  await workers.stop();
  parts.cells.delete(id);
  const storage = join(parts.data, id);
  parts.leaks.inText("a log", workers.logs.join("\n"));
  await parts.leaks.inFolder("storage", storage);
  await rm(storage, { recursive: true, force: true });
  return {};
}

/** Where a text stands that tests know to be there: what is searched is what is written. */
async function search(parts: Parts, id: string, text: string): Promise<string[]> {
  const leaks = new Leaks({ text });
  leaks.inText("log", workersOf(parts, id).logs.join("\n"));
  await leaks.inFolder("storage", join(parts.data, id));
  return [...new Set(leaks.found.filter(({ kind }) => kind === "text").map(({ where }) => where))];
}

function secretsOf({ vars, neonConnection, redis }: Services): Record<string, string> {
  const { INVITATION_SECRET = "", API_KEY_SECRET = "", OPERATOR_TOKEN = "" } = vars;
  const { password } = new URL(neonConnection);
  return {
    INVITATION_SECRET,
    API_KEY_SECRET,
    OPERATOR_TOKEN,
    redis: redis.token,
    ...hidden("neon", password),
  };
}

/** A password that is a word stands everywhere. */
function hidden(name: string, password: string): Record<string, string> {
  return password.length >= 12 ? { [name]: password } : {};
}

function workersOf(parts: Parts, id: string): Workers {
  const workers = parts.cells.get(id);
  if (!workers) throw new Error(`no Workers ${id}`);
  return workers;
}

async function makeDatabase(serverUrl: string, empty: boolean): Promise<Record<string, string>> {
  const name = uniqueName("test");
  const made = empty ? await createDatabase(serverUrl, name) : await prepareDatabase(serverUrl, name);
  return { name, ...made };
}
