/**
 * Answers of the Cache API, by caller, path and version: a write makes a new version, so a copy is never stale, and a
 * caller only ever sees what he was answered himself.
 */
import type { Context, MiddlewareHandler } from "hono";
import type { App } from "./environment.ts";

interface Copy {
  /** Of the Cache API a stream: who has the copy already, and is told so, does not wait for it. */
  body: string | ReadableStream;
  etag: string;
}

const MOST_COPIES = 1024;
const copies = new Map<string, Copy>();

export const cached: MiddlewareHandler<App> = async (c, next) => {
  const url = new URL(c.req.url);
  const key = `https://cache.peer.invalid/${c.get("user")}/${c.get("version")}${url.pathname}${url.search}`;
  const found = copies.get(key) ?? (await fromShared(key));
  if (found) return answer(c, found, "HIT");
  await next();
  if (c.res.status !== 200) return;
  const body = await c.res.text();
  const copy = { body, etag: await etagOf(body) };
  remember(c, key, copy);
  const stored = new Response(body, { headers: { etag: copy.etag, "cache-control": "max-age=300" } });
  c.executionCtx.waitUntil(caches.default.put(key, stored));
  c.res = answer(c, copy, "MISS");
  return;
};

async function fromShared(key: string): Promise<Copy | undefined> {
  const found = await caches.default.match(key);
  return found && { body: found.body ?? "", etag: found.headers.get("etag") ?? "" };
}

function remember(c: Context<App>, key: string, copy: Copy): void {
  if (c.env.MEMORY_CACHE !== "true") return;
  if (copies.size >= MOST_COPIES) copies.delete(copies.keys().next().value ?? "");
  copies.set(key, copy);
}

function answer(c: Context<App>, { body, etag }: Copy, status: string): Response {
  const headers = { etag, "cache-control": "private, no-cache", vary: "Authorization", "x-cache": status };
  if (c.req.header("if-none-match") === etag) return c.body(null, 304, headers);
  return c.body(body, 200, { ...headers, "content-type": "application/json" });
}

async function etagOf(body: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(body)));
  return `"${btoa(String.fromCharCode(...digest.subarray(0, 16)))}"`;
}
