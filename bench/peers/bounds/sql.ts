/**
 * What a call that needs Postgres costs when the Worker does nothing but that: drey's two statements in one POST, and Neon's
 * answer passed on as it came. No signature, limit, check, header, log or shape of an answer. What is left is Postgres,
 * its stand-in and the load: no Worker that runs these statements is faster.
 */
import { toUuid } from "../reads/typeid.ts";
import { dress, logged } from "./headers.ts";

interface Env {
  NEON_CONNECTION_STRING: string;
  NEON_HTTP_URL: string;
  /**
   * `cache`: a list is looked for in the Cache API, and kept there, as every side does that shares its copies.
   * `answer`: what is created is answered with drey's headers, and a log line.
   */
  WITH: string;
}

interface Query {
  query: string;
  params: unknown[];
}

const DAY_MS = 86_400_000;
const users = new Map<string, string>();
const orgs = new Map<string, string>();

export default {
  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    const { pathname } = new URL(request.url);
    const [, , , id = "", what] = pathname.split("/");
    const workspace = toUuid("ws", id) ?? "";
    const user = await userOf(env, request.headers.get("authorization") ?? "");
    const settings = settingsOf(user, await orgOf(env, user, workspace), workspace);
    if (request.method === "GET") {
      const read = () => post(env, [settings, list(workspace)], true);
      if (env.WITH === "cache") return kept(request.url, read, context);
      return new Response((await read()).body);
    }
    const text = await request.text();
    const query = what === "sync" ? push(workspace, text) : create(workspace, request, pathname, text);
    const written = await post(env, [settings, query], false);
    if (env.WITH === "answer") return answered(request, await written.text());
    return new Response(written.body, { status: what === "sync" ? 200 : 201 });
  },
};

/** As long as drey's, and in nothing else like it. */
const PROJECT = JSON.stringify({
  id: "prj_01k30dw4hmfay8vvr14d2pf2db",
  description: "Made by the bench.".repeat(9),
});

function answered(request: Request, written: string): Response {
  if (!written.includes('"rows"')) throw new Error(written);
  const answer = new Response(PROJECT, { status: 201 });
  const id = dress(answer, CREATED, true);
  logged(request, answer, id);
  return answer;
}

const CREATED: [string, string][] = [
  ["location", "/v1/workspaces/ws_01k30dw4hmfay8vvr14d2pf2db/projects/prj_01k30dw4hmfay8vvr14d2pf2db"],
  ["content-type", "application/json"],
  ["cache-control", "no-store"],
  ["etag", '"1"'],
  ["vary", "Origin"],
  ["x-drey-revision", "1"],
  ["x-cache", "MISS"],
];

async function kept(
  url: string,
  read: () => Promise<Response>,
  context: ExecutionContext,
): Promise<Response> {
  const copy = await caches.default.match(url);
  if (copy) return copy;
  const text = await (await read()).text();
  const headers = { "cache-control": "max-age=60" };
  context.waitUntil(caches.default.put(url, new Response(text, { headers })));
  return new Response(text);
}

/** Believes every token. */
async function userOf(env: Env, token: string): Promise<string> {
  const known = users.get(token);
  if (known) return known;
  const claims = JSON.parse(atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/")));
  const params = [claims.iss, claims.sub, claims.email ?? null, claims.name ?? null, crypto.randomUUID()];
  const seen = { query: "select user_seen($1, $2, $3, $4, $5) as id", params };
  const answer = (await (await post(env, [seen], false)).json()) as Answer;
  const user = answer.results[0]?.rows[0]?.[0] ?? "";
  users.set(token, user);
  return user;
}

/** Asked once: drey has it from its lease. */
async function orgOf(env: Env, user: string, workspace: string): Promise<string> {
  const known = orgs.get(workspace);
  if (known) return known;
  const query = "select org_id from workspace where workspace_id = $1";
  const batch = [settingsOf(user, "", workspace), { query, params: [workspace] }];
  const answer = (await (await post(env, batch, true)).json()) as Answer;
  const org = answer.results[1]?.rows[0]?.[0] ?? "";
  orgs.set(workspace, org);
  return org;
}

interface Answer {
  results: { rows: string[][] }[];
}

const settingsOf = (user: string, org: string, workspace: string): Query => ({
  query: `select set_config('app.user_id', $1::text, true), set_config('app.org_id', $2::text, true),
            set_config('app.workspace_id', $3::text, true), set_config('timezone', 'UTC', true)`,
  params: [user, org, workspace],
});

const list = (workspace: string): Query => ({
  query: `select role, revision, project_id, workspace_id, name, slug, description, version, created_at, updated_at
          from project_page($1::uuid, 11, null, null)`,
  params: [workspace],
});

function create(workspace: string, request: Request, path: string, text: string): Query {
  const { name, description } = JSON.parse(text) as { name: string; description: string };
  const id = `${Date.now().toString(16).padStart(12, "0")}`;
  const project = `${id.slice(0, 8)}-${id.slice(8)}-7${crypto.randomUUID().slice(15)}`;
  const slug = name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const key = request.headers.get("idempotency-key");
  // The length of a digest; what it says is compared with nothing here.
  const fingerprint = `\\x${project.replaceAll("-", "").repeat(2)}`;
  return {
    query: "select * from project_create('POST', $1, $2, $3::bytea, $4, $5::uuid, $6::uuid, $7, $8, $9)",
    params: [path, key, fingerprint, project, workspace, project, name, slug, description],
  };
}

interface Push {
  client_id: string;
  mutations: {
    id: number;
    scope: { type: string; id: string };
    entity: { type: string; id: string };
    op: string;
    base_version: number | null;
    clock: object;
    value: object;
  }[];
}

function push(workspace: string, text: string): Query {
  const { client_id, mutations } = JSON.parse(text) as Push;
  const items = mutations.map(({ id, scope, entity, op, base_version, clock }) => ({
    id,
    scope_type: scope.type,
    scope_id: scope.id,
    entity_type: entity.type,
    entity_id: entity.id,
    op,
    base_version,
    clock,
  }));
  const values = JSON.stringify(mutations.map(({ value }) => value));
  const mine = JSON.stringify(mutations.map(() => null));
  return {
    query: `select last_mutation_id, results, scopes from sync_push($1::uuid, $2, null, null, $3::json, $4::json, $5::json, false,
              ${90 * DAY_MS}::bigint, ${DAY_MS}::bigint, ${90 * DAY_MS}::bigint)`,
    params: [workspace, client_id, JSON.stringify(items), values, mine],
  };
}

/** The body is a stream that the runtime passes through by itself. */
async function post(env: Env, queries: Query[], readOnly: boolean): Promise<Response> {
  const headers = {
    "content-type": "application/json",
    "neon-connection-string": env.NEON_CONNECTION_STRING,
    "neon-raw-text-output": "true",
    "neon-array-mode": "true",
    "neon-batch-isolation-level": "ReadCommitted",
    "neon-batch-read-only": String(readOnly),
  };
  const response = await fetch(env.NEON_HTTP_URL, {
    method: "POST",
    headers,
    body: JSON.stringify({ queries }),
  });
  if (!response.ok) throw new Error(await response.text());
  return response;
}
