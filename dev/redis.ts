/**
 * Upstash's Redis REST interface on loopback, in front of an engine (`redis/engine.ts`), with faults, counters and
 * all that is held for tests under `/admin`. Out of scope: subscriptions, resp2 answers, the read-only token.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { answerFaults, type Fault, Faults, hold } from "./faults.ts";
import { type Listening, listen, readBody, send, sendJson } from "./http.ts";
import { entries } from "./redis/entries.ts";
import { type Engine, encode, type Json, RedisError, type Reply } from "./redis/reply.ts";
import { BadRequest, parseCall, type RestCall } from "./redis/request.ts";

const METHODS = ["HEAD", "GET", "POST", "PUT"];

export interface RedisOptions {
  engine: Engine;
  token: string;
  port?: number;
}

export interface Redis extends Listening {
  token: string;
  admin: string;
}

interface Parts {
  engine: Engine;
  token: string;
  faults: Faults;
  counters: { requests: number; commands: number };
}

export async function startRedis(options: RedisOptions): Promise<Redis> {
  const parts: Parts = {
    engine: options.engine,
    token: options.token,
    faults: new Faults(["latency", "status500", "garbage", "drop"]),
    counters: { requests: 0, commands: 0 },
  };
  const listening = await listen((request, response) => route(parts, request, response), options.port);
  const close = async () => {
    await listening.close();
    await options.engine.close();
  };
  return { ...listening, token: options.token, admin: `${listening.url}/admin`, close };
}

async function route(parts: Parts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://localhost");
  const [, first, second, third] = url.pathname.split("/");
  if (first === "admin" && second === "faults") return answerFaults(parts.faults, third, request, response);
  if (first === "admin" && second === "counters") return sendJson(response, 200, parts.counters);
  if (first === "admin" && second === "entries") return sendJson(response, 200, await entries(parts.engine));
  if (!METHODS.includes(request.method ?? "")) return sendError(response, 405, "ERR method not allowed");
  if (!mayEnter(parts.token, url, request)) {
    return sendError(response, 401, "WRONGPASS invalid or missing auth token");
  }
  await answer(parts, url, request, response);
}

function mayEnter(token: string, url: URL, request: IncomingMessage): boolean {
  return request.headers.authorization === `Bearer ${token}` || url.searchParams.get("_token") === token;
}

async function answer(
  parts: Parts,
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const call = parseCall(url, request.method ?? "", await readBody(request));
    parts.counters.requests += 1;
    parts.counters.commands += call.commands.length;
    if (await suffer(parts.faults.take(textOf(call)), request, response)) return;
    const base64 = request.headers["upstash-encoding"] === "base64";
    sendJson(response, 200, await run(parts.engine, call, base64), { "upstash-sync-token": "local" });
  } catch (error) {
    if (!(error instanceof RedisError || error instanceof BadRequest)) throw error;
    sendError(response, 400, error.message);
  }
}

/** Makes the faults happen; true when nothing is left to answer. */
async function suffer(
  faults: Map<string, Fault>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  const latency = faults.get("latency");
  if (latency) await hold(latency.latency_ms);
  if (faults.has("drop")) request.socket.destroy();
  else if (faults.has("status500")) sendError(response, 500, "ERR internal error");
  else if (faults.has("garbage")) send(response, 200, "<html>not JSON", { "content-type": "text/html" });
  else return false;
  return true;
}

async function run(engine: Engine, call: RestCall, base64: boolean): Promise<unknown> {
  const [only = []] = call.commands;
  if (call.kind === "single") return { result: encode(await engine.execute(only), base64) };
  if (call.kind === "multi-exec") {
    return (await engine.transaction(call.commands)).map((item) => itemOf(item, base64));
  }
  // Not atomic, but in order: each command answers for itself.
  const items: unknown[] = [];
  for (const command of call.commands) items.push(itemOf(await outcome(engine, command), base64));
  return items;
}

async function outcome(engine: Engine, command: Buffer[]): Promise<Reply | RedisError> {
  try {
    return await engine.execute(command);
  } catch (error) {
    if (error instanceof RedisError) return error;
    throw error;
  }
}

function itemOf(item: Reply | RedisError, base64: boolean): { result: Json } | { error: string } {
  return item instanceof RedisError ? { error: item.message } : { result: encode(item, base64) };
}

/** What `match` of a fault is looked for in. */
function textOf(call: RestCall): string {
  return JSON.stringify(call.commands.map((command) => command.map(String)));
}

function sendError(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, { error: message });
}
