/** Projects of a workspace. */
import { Hono } from "hono";
import { cached } from "./cached.ts";
import { read, write } from "./database.ts";
import type { App } from "./environment.ts";
import { limit } from "./limits.ts";
import { Problem } from "./problems.ts";
import { fromUuid } from "./typeid.ts";

type Row = Record<string, string | number | Date>;

export const projects = new Hono<App>();

projects.get("/", limit("reads"), cached, async (c) => {
  const most = Math.min(Number(c.req.query("limit") ?? 50), 100);
  const workspace = c.get("workspace");
  const rows = await read(
    c.env,
    c.get("user"),
    workspace,
    (sql) => sql`
      select project_id, workspace_id, name, slug, description, version, created_at, updated_at from project
      where workspace_id = ${workspace} order by created_at desc, project_id desc limit ${most + 1}`,
  );
  const data = rows.slice(0, most).map((row) => project(row as Row));
  return c.json({ data, next_cursor: rows.length > most ? String(data.at(-1)?.id) : null });
});

projects.post("/", limit("writes"), async (c) => {
  const text = await c.req.text();
  const { name, description = "" } = parse(text);
  if (typeof name !== "string" || name.length < 1 || name.length > 100) {
    throw new Problem(422, "validation-failed", "`name` has 1 to 100 characters.");
  }
  const workspace = c.get("workspace");
  const slug = name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const key = c.req.header("idempotency-key") ?? null;
  const fingerprint = await digest(text);
  const row = await write(
    c.env,
    c.get("user"),
    workspace,
    (sql) => sql`
      select * from project_create('POST', ${c.req.path}, ${key}, ${fingerprint}::bytea, ${c.get("requestId")},
                                   ${workspace}::uuid, ${uuidV7()}::uuid, ${name}, ${slug}, ${description})`,
  );
  c.executionCtx.waitUntil(c.env.LIMITER.getByName(workspace).changed());
  const made = project(row as Row);
  const headers: Record<string, string> = { location: `${c.req.path}/${made.id}`, etag: `"${made.version}"` };
  if (row.replayed) headers["idempotent-replayed"] = "true";
  return c.json(made, 201, headers);
});

function parse(text: string): Record<string, unknown> & { description?: string } {
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(400, "malformed-json", "The body is not JSON.");
  }
}

function project(row: Row) {
  return {
    id: fromUuid("prj", String(row.project_id)),
    workspace_id: fromUuid("ws", String(row.workspace_id)),
    name: row.name,
    slug: row.slug,
    description: row.description,
    version: Number(row.version),
    created_at: row.created_at,
    updated_at: row.updated_at,
  };
}

async function digest(text: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return `\\x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Milliseconds, then random bits. */
function uuidV7(): string {
  const time = Date.now().toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}`;
}
