/** Pushes of mutations and the log of a scope. */
import { type Context, Hono } from "hono";
import { read, write } from "./database.ts";
import type { App } from "./environment.ts";
import { limit } from "./limits.ts";
import { checked, isMutation, type Mutation } from "./mutations.ts";
import { Problem } from "./problems.ts";

export const sync = new Hono<App>();

const DAY_MS = 86_400_000;

sync.post("/push", limit("writes"), async (c) => {
  const body = await c.req.json<Push>();
  const { client_id, session_id = null, acked_mutation_id = null, mutations } = body;
  if (typeof client_id !== "string" || !Array.isArray(mutations) || !mutations.every(isMutation)) {
    throw new Problem(422, "validation-failed", "`client_id` or `mutations` are not what a push is made of.");
  }
  const workspace = c.get("workspace");
  const checks = mutations.map((mutation) => checked(mutation, client_id));
  const items = mutations.map((mutation, index) => itemOf(mutation, client_id, checks[index]?.reject));
  const values = `[${checks.map(({ value }) => value).join(",")}]`;
  const mine = `[${mutations.map(() => "null").join(",")}]`;
  const row = await write(
    c.env,
    c.get("user"),
    workspace,
    (sql) => sql`
      select last_mutation_id, results, scopes
      from sync_push(${workspace}::uuid, ${client_id}, ${session_id}::uuid, ${acked_mutation_id}::bigint, ${JSON.stringify(items)}::json,
                     ${values}::json, ${mine}::json, false, ${90 * DAY_MS}::bigint, ${DAY_MS}::bigint, ${90 * DAY_MS}::bigint)`,
  );
  c.executionCtx.waitUntil(tell(c.env, workspace, row.scopes as Touched[]));
  return c.json({ results: row.results, last_mutation_id: Number(row.last_mutation_id), scopes: row.scopes });
});

interface Push {
  client_id: string;
  session_id?: string;
  acked_mutation_id?: number;
  mutations: Mutation[];
}

function itemOf(mutation: Mutation, client: string, reject: string | undefined) {
  const { id, scope, entity, op, base_version = null, clock = { [client]: id } } = mutation;
  if (reject !== undefined)
    return { id, reject_code: reject, reject_detail: "It can never be applied.", clock: {} };
  const place = {
    scope_type: scope.type,
    scope_id: scope.id,
    entity_type: entity.type,
    entity_id: entity.id,
  };
  return { id, ...place, op, base_version, clock };
}

interface Touched {
  type: string;
  id: string;
  epoch: number;
}

/** Wakes who waits for these scopes. */
function tell(env: App["Bindings"], workspace: string, touched: Touched[]): Promise<unknown> {
  return Promise.allSettled(
    touched.map(({ type, id, epoch }) => feedOf(env, { workspace, type, id }).hear(epoch)),
  );
}

function feedOf(env: App["Bindings"], { workspace, type, id }: Pick<Place, "workspace" | "type" | "id">) {
  return env.FEED.getByName(`${workspace}/${type}/${id}`);
}

const PAGE = 1000;

sync.get("/:type/:id", limit("reads"), async (c) => {
  const { type, id } = c.req.param();
  const offset = c.req.query("offset") ?? "-1";
  const after = offset === "-1" ? 0 : offset === "now" ? END : Number(offset.split("_")[1]);
  if (!Number.isInteger(after)) throw new Problem(400, "invalid-offset", "The offset is malformed.");
  const workspace = c.get("workspace");
  const place = { workspace, user: c.get("user"), type, id, after };
  const readPage = c.env.CACHE_PAGES === "true" ? keptPage(c) : readerOf(c.env);
  let page = after === END ? await newest(c.env, place) : await readPage(c.env, place);
  if (c.req.query("live") === "long-poll" && page.end === after) {
    await feedOf(c.env, place).wait(after);
    page = await readPage(c.env, place);
    if (page.end === after) return c.body(null, 204, { "stream-next-offset": offset });
  }
  const headers = {
    "content-type": "application/json",
    "stream-next-offset": `1_${String(page.end).padStart(16, "0")}`,
    "cache-control": "private, no-cache",
    etag: `"1:${after}:${page.end}"`,
  };
  if (c.req.header("if-none-match") === headers.etag) return c.body(null, 304, headers);
  return c.body(page.json, 200, headers);
});

type ReadPage = (env: App["Bindings"], place: Place) => Promise<Page>;

function readerOf(env: App["Bindings"]): ReadPage {
  return env.JSON_IN_SQL === "true" ? builtInPostgres : builtHere;
}

/** A page that is full never changes: epochs have no gaps. It is kept for this caller, as long as nobody's role changes. */
function keptPage(c: Context<App>): ReadPage {
  return async (env, place) => {
    const { workspace, user, type, id, after } = place;
    const key = `https://cache.peer.invalid/log/${user}/${c.get("version")}/${workspace}/${type}/${id}/${after}`;
    const copy = await caches.default.match(key);
    if (copy) return { json: copy.body ?? "", end: after + PAGE };
    const page = await readerOf(env)(env, place);
    if (page.end - after < PAGE) return page;
    const stored = new Response(page.json, { headers: { "cache-control": "max-age=3600" } });
    c.executionCtx.waitUntil(caches.default.put(key, stored));
    return page;
  };
}

/** Above every epoch: only how far the log is is wanted. */
const END = Number.MAX_SAFE_INTEGER;

async function newest(env: App["Bindings"], { workspace, user, type, id }: Place): Promise<Page> {
  const [row] = await read(
    env,
    user,
    workspace,
    (sql) => sql`
      select epoch from sync_scope where workspace_id = ${workspace} and scope_type = ${type} and scope_id = ${id}`,
  );
  return { json: "[]", end: Number(row?.epoch ?? 0) };
}

interface Place {
  workspace: string;
  user: string;
  type: string;
  id: string;
  after: number;
}

interface Page {
  json: string | ReadableStream;
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
