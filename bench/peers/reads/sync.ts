/** Pushes of mutations and the log of a scope. */
import { Hono } from "hono";
import { read, write } from "./database.ts";
import type { App } from "./environment.ts";
import { limit } from "./limits.ts";
import { Problem } from "./problems.ts";

interface Mutation {
  id: number;
  scope: { type: string; id: string };
  entity: { type: string; id: string };
  op: "upsert" | "delete";
  base_version: number | null;
  clock: Record<string, number>;
  value?: unknown;
}

export const sync = new Hono<App>();

sync.post("/push", limit("writes"), async (c) => {
  const { client_id, mutations } = await c.req.json<{ client_id: string; mutations: Mutation[] }>();
  if (typeof client_id !== "string" || !Array.isArray(mutations) || !mutations.every(isMutation)) {
    throw new Problem(422, "validation-failed", "`client_id` or `mutations` are not what a push is made of.");
  }
  const workspace = c.get("workspace");
  const items = mutations.map(({ scope, entity, value: _value, ...rest }) => ({
    ...rest,
    scope_type: scope.type,
    scope_id: scope.id,
    entity_type: entity.type,
    entity_id: entity.id,
  }));
  const values = mutations.map((mutation) => mutation.value ?? null);
  const row = await write(
    c.env,
    c.get("user"),
    workspace,
    (sql) => sql`
      select last_mutation_id, results, scopes
      from sync_push(${workspace}::uuid, ${client_id}, null, null, ${JSON.stringify(items)}::json, ${JSON.stringify(values)}::json)`,
  );
  return c.json({ results: row.results, last_mutation_id: Number(row.last_mutation_id), scopes: row.scopes });
});

function isMutation(item: Mutation): boolean {
  return (
    Number.isInteger(item.id) &&
    typeof item.scope?.type === "string" &&
    typeof item.scope.id === "string" &&
    typeof item.entity?.type === "string" &&
    typeof item.entity.id === "string" &&
    (item.op === "upsert" || item.op === "delete")
  );
}

const PAGE = 1000;

sync.get("/:type/:id", limit("reads"), async (c) => {
  const { type, id } = c.req.param();
  const offset = c.req.query("offset") ?? "-1";
  const after = offset === "-1" ? 0 : Number(offset.split("_")[1]);
  if (!Number.isInteger(after)) throw new Problem(400, "invalid-offset", "The offset is malformed.");
  const workspace = c.get("workspace");
  const place = { workspace, user: c.get("user"), type, id, after };
  const page = await (c.env.JSON_IN_SQL === "true" ? builtInPostgres : builtHere)(c.env, place);
  const headers = {
    "content-type": "application/json",
    "stream-next-offset": `1_${String(page.end).padStart(16, "0")}`,
    "cache-control": "private, no-cache",
    etag: `"1:${after}:${page.end}"`,
  };
  if (c.req.header("if-none-match") === headers.etag) return c.body(null, 304, headers);
  return c.body(page.json, 200, headers);
});

interface Place {
  workspace: string;
  user: string;
  type: string;
  id: string;
  after: number;
}

interface Page {
  json: string;
  end: number;
}

/** As most would write it: rows in, objects, JSON out. */
async function builtHere(env: App["Bindings"], place: Place): Promise<Page> {
  const { workspace, user, type, id, after } = place;
  const rows = await read(
    env,
    user,
    workspace,
    (sql) => sql`
      select entity_type, entity_id, value, operation, txid, created_at, client_id, mutation_id, server_epoch from sync_change
      where workspace_id = ${workspace} and scope_type = ${type} and scope_id = ${id} and server_epoch > ${after}
      order by server_epoch limit ${PAGE}`,
  );
  const messages = rows.map((row) => ({
    type: row.entity_type,
    key: `${row.entity_type}/${row.entity_id}`,
    value: row.value,
    headers: {
      operation: row.operation,
      txid: String(row.txid),
      timestamp: row.created_at,
      client_id: row.client_id,
      mutation_id: Number(row.mutation_id),
      version: Number(row.server_epoch),
    },
  }));
  return { json: JSON.stringify(messages), end: Number(rows.at(-1)?.server_epoch ?? after) };
}

/** As somebody who has measured would: Postgres builds the text, nobody parses it again. */
async function builtInPostgres(env: App["Bindings"], place: Place): Promise<Page> {
  const { workspace, user, type, id, after } = place;
  const [row] = await read(
    env,
    user,
    workspace,
    (sql) => sql`
      select coalesce(max(m.server_epoch), ${after}::bigint) as last, '[' || coalesce(string_agg(json_build_object(
        'type', m.entity_type, 'key', m.entity_type || '/' || m.entity_id, 'value', m.value,
        'headers', json_build_object('operation', m.operation, 'txid', m.txid::text, 'timestamp', m.created_at,
          'client_id', m.client_id, 'mutation_id', m.mutation_id, 'version', m.server_epoch))::text, ',' order by m.server_epoch), '') || ']' as json
      from (select * from sync_change where workspace_id = ${workspace} and scope_type = ${type} and scope_id = ${id}
            and server_epoch > ${after} order by server_epoch limit ${PAGE}) m`,
  );
  return { json: String(row?.json), end: Number(row?.last) };
}
