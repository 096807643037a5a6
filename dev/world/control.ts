/**
 * What tests may ask of the process that holds the world: more Workers, evictions, logs, databases.
 */
import type { IncomingMessage } from "node:http";
import { createDatabase, dropDatabase, prepareDatabase, uniqueName } from "../database.ts";
import { type Listening, listen, readJson, sendJson } from "../http.ts";
import { ROOT } from "../paths.ts";
import type { Services } from "../services.ts";
import type { Cell } from "./addresses.ts";
import { startWorkers, type Workers } from "./workers.ts";

export interface Control extends Listening {
  startCell(vars: Record<string, string>, isolates: number, broken?: string): Promise<Cell>;
}

/** Every test calls from this machine's address: its limit for callers not seen before would make files wait for each other. */
const ONE_ADDRESS = { anonymous: { base: 100_000 }, "sign-in": { base: 100_000 } };

/** What a test orders. */
interface CellOrder {
  vars: Record<string, string>;
  isolates?: number;
  broken?: string;
}

interface Parts {
  services: Services;
  cells: Map<string, Workers>;
}

export async function startControl(services: Services): Promise<Control> {
  const parts: Parts = { services, cells: new Map() };
  const listening = await listen(async (request, response) => {
    try {
      sendJson(response, 200, await route(parts, `http://${request.headers.host}`, request));
    } catch (error) {
      sendJson(response, 500, { message: (error as Error).stack });
    }
  });
  const close = async () => {
    await Promise.all([...parts.cells.values()].map((workers) => workers.stop()));
    await listening.close();
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
  const workers = await startWorkers({
    root: ROOT,
    vars: { ...parts.services.vars, ...vars, LIMITS: limits(vars.LIMITS) },
    isolates,
    broken,
  });
  const id = crypto.randomUUID();
  parts.cells.set(id, workers);
  return { apis: workers.apis, cell: `${self}/cells/${id}` };
}

/** A test's own limits count; those it does not name are wide where all tests call from one address. */
function limits(own = "{}"): string {
  return JSON.stringify({ ...ONE_ADDRESS, ...JSON.parse(own) });
}

async function stopCell(parts: Parts, id: string): Promise<object> {
  await workersOf(parts, id).stop();
  parts.cells.delete(id);
  return {};
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
