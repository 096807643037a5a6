/**
 * Neon's SQL-over-HTTP on loopback, in front of a local Postgres: same path, headers, bodies, errors and limits, so that
 * neither the Worker nor the official driver can tell. Beside it, under `/admin`, counters and faults for tests.
 * Out of scope: Neon's JWT endpoint (`apiauth.`), WebSockets, scale to zero.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { answerFaults, Faults } from "./faults.ts";
import { BodyTooLarge, type Listening, listen, readBody, send, sendJson } from "./http.ts";
import { parseConnectionString } from "./neon/connection.ts";
import { Counters } from "./neon/counters.ts";
import { execute } from "./neon/execute.ts";
import { failureOf, NeonFailure } from "./neon/failure.ts";
import { Pool, type Server } from "./neon/pool.ts";
import { parseRequest } from "./neon/request.ts";

/** The limit of Neon's documentation, for the request and for the answer. */
const MAX_BYTES = 64 * 1024 * 1024;

const FAULTS = ["latency", "status500", "drop_before_commit", "drop_after_commit"];

export interface NeonOptions {
  /** The Postgres that every connection string leads to, whatever host it names. */
  server: Server;
  port?: number;
  maxRequestBytes?: number;
  maxResponseBytes?: number;
}

export interface Neon extends Listening {
  /** Where statements are posted. */
  sql: string;
  /** Where counters and faults live. */
  admin: string;
}

interface Parts {
  pool: Pool;
  faults: Faults;
  counters: Counters;
  maxRequestBytes: number;
  maxResponseBytes: number;
}

export async function startNeon(options: NeonOptions): Promise<Neon> {
  const parts: Parts = {
    pool: new Pool(options.server),
    faults: new Faults(FAULTS),
    counters: new Counters(),
    maxRequestBytes: options.maxRequestBytes ?? MAX_BYTES,
    maxResponseBytes: options.maxResponseBytes ?? MAX_BYTES,
  };
  const listening = await listen((request, response) => route(parts, request, response), options.port);
  const close = async () => {
    await listening.close();
    await parts.pool.end();
  };
  return { ...listening, sql: `${listening.url}/sql`, admin: `${listening.url}/admin`, close };
}

async function route(parts: Parts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, first, second, third] = (request.url ?? "").split("?")[0]?.split("/") ?? [];
  if (first === "admin" && second === "faults") return answerFaults(parts.faults, third, request, response);
  if (first === "admin" && second === "counters") return parts.counters.answer(third, request, response);
  const headers = { "neon-request-id": crypto.randomUUID(), "access-control-allow-origin": "*" };
  const known = first === "sql" && second === undefined;
  if (known && request.method === "OPTIONS") return send(response, 200, "", { ...headers, ...PREFLIGHT });
  if (known && request.method === "POST") return answer(parts, request, response, headers);
  sendJson(response, 400, "query is not supported", headers);
}

const PREFLIGHT = {
  "access-control-allow-headers":
    "Neon-Connection-String, Neon-Raw-Text-Output, Neon-Array-Mode, Neon-Pool-Opt-In, Neon-Batch-Read-Only, Neon-Batch-Isolation-Level",
  "access-control-max-age": "86400",
};

async function answer(
  parts: Parts,
  request: IncomingMessage,
  response: ServerResponse,
  headers: Record<string, string>,
): Promise<void> {
  try {
    const target = parseConnectionString(request.headers);
    const body = await readBody(request, parts.maxRequestBytes);
    const call = parseRequest(request.headers, body.toString("utf8"));
    parts.counters.count(call.statements);
    const faults = parts.faults.take(call.statements.map((statement) => statement.text).join("\n"));
    // The real proxy cancels the query when its caller goes away.
    const gone = new AbortController();
    response.once("close", () => response.writableFinished || gone.abort());
    const outcome = await execute(parts.pool, target, call, faults, gone.signal);
    if (outcome.dropped) return void request.socket.destroy();
    sendLimited(response, parts.maxResponseBytes, outcome.body, { ...headers, ...call.echo });
  } catch (error) {
    const failure = error instanceof BodyTooLarge ? new NeonFailure(413, error.message) : failureOf(error);
    sendJson(response, failure.status, failure.body, { ...headers, ...closing(failure) });
  }
}

/** After a refused upload the rest of the body is still on its way: the connection cannot be used again. */
function closing(failure: NeonFailure): Record<string, string> {
  return failure.status === 413 ? { connection: "close" } : {};
}

function sendLimited(
  response: ServerResponse,
  limit: number,
  body: unknown,
  headers: Record<string, string>,
): void {
  const text = JSON.stringify(body);
  if (Buffer.byteLength(text) > limit)
    throw new NeonFailure(507, `response is too large (max is ${limit} bytes)`);
  send(response, 200, text, { "content-type": "application/json", ...headers });
}
