/**
 * One person of the demo: a token of the development issuer and calls of the API, as any client would make them.
 *
 * In scope: HTTP and the presence socket. Out of scope: the order of things (story.ts).
 */
import { randomBytes, randomUUID } from "node:crypto";
import WebSocket from "ws";
import type { Addresses } from "./stack.ts";

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  // The demo reads documented members and fails loudly when one is missing.
  json: Record<string, unknown>;
}

export interface Person {
  name: string;
  token: string;
  addresses: Addresses;
}

export interface Frame {
  kind: string;
  peers?: { user_id: string; name: string | null; state: unknown }[];
}

export interface Room {
  frames: Frame[];
  show(state: unknown): void;
  leave(): void;
}

/** A new subject each run, so that the demo can be repeated. */
export async function person(addresses: Addresses, name: string): Promise<Person> {
  const sub = `demo-${name.toLowerCase()}-${randomUUID()}`;
  const answer = await fetch(`${addresses.issuer}/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ sub, email: `${sub}@example.test`, name }),
  });
  const { access_token } = (await answer.json()) as { access_token: string };
  return { name, token: access_token, addresses };
}

export async function send(
  who: Person,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const request: RequestInit = { method, headers: { authorization: `Bearer ${who.token}`, ...headers } };
  if (body !== undefined) {
    request.headers = { ...request.headers, "content-type": "application/json" };
    request.body = typeof body === "string" ? body : JSON.stringify(body);
  }
  const answer = await fetch(`${who.addresses.api}${path}`, request).catch((error: Error) => {
    throw new Error(`${method} ${path} got no answer from ${who.addresses.api}: ${error.cause ?? error}`);
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, json: parse(text) };
}

/** The body of an answer that must have this status; `Idempotency-Key` makes each create safe to repeat. */
export async function must(
  status: number,
  who: Person,
  method: string,
  path: string,
  body?: unknown,
): Promise<Record<string, unknown>> {
  const headers: Record<string, string> = method === "POST" ? { "idempotency-key": randomUUID() } : {};
  const reply = await send(who, method, path, body, headers);
  if (reply.status !== status) {
    throw new Error(`${who.name}: ${method} ${path} answered ${reply.status}, not ${status}: ${reply.text}`);
  }
  return reply.json;
}

/** How often Postgres was asked for the requests of this trace. */
export async function queriesOf(addresses: Addresses, traceId: string): Promise<number> {
  const url = new URL(`/admin/counters/${traceId}`, addresses.neon);
  return ((await (await fetch(url)).json()) as { requests: number }).requests;
}

export function newTrace(): { id: string; traceparent: string } {
  const id = randomBytes(16).toString("hex");
  return { id, traceparent: `00-${id}-${randomBytes(8).toString("hex")}-01` };
}

export async function enter(who: Person, workspace: string): Promise<Room> {
  const client = `demo-${randomBytes(6).toString("hex")}`;
  const url = `${who.addresses.api.replace("http", "ws")}/v1/workspaces/${workspace}/presence?client_id=${client}`;
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${who.token}` } });
  const frames: Frame[] = [];
  socket.on("message", (data) => frames.push(JSON.parse(String(data)) as Frame));
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  let clock = 0;
  const show = (state: unknown) => {
    clock += 1;
    socket.send(JSON.stringify({ kind: "update", clock, state }));
  };
  return { frames, show, leave: () => socket.close(1000) };
}

/** Tries until the answer is truthy; past the deadline it throws, naming what was waited for. */
export async function until<T>(what: string, attempt: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const answer = await attempt();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`waited 10 s in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
