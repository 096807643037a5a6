/** Neon over HTTP: one request, one transaction that begins with whom row-level security sees. */
import {
  type NeonQueryFunction,
  type NeonQueryInTransaction,
  neon,
  neonConfig,
} from "@neondatabase/serverless";
import type { Env } from "./environment.ts";
import { Problem } from "./problems.ts";

type Sql = NeonQueryFunction<false, false>;
type Row = Record<string, unknown>;

let client: Sql | undefined;

export function database(env: Env): Sql {
  if (client) return client;
  neonConfig.fetchEndpoint = env.NEON_HTTP_URL;
  client = neon(env.NEON_CONNECTION_STRING);
  return client;
}

type Query = (sql: Sql) => NeonQueryInTransaction;

/** The rows of a query; 404 unless the caller has a role in the workspace. */
export async function read(env: Env, user: string, workspace: string, query: Query): Promise<Row[]> {
  const sql = database(env);
  const settings = sql`
    select set_config('app.user_id', ${user}, true), set_config('app.org_id', '', true),
           set_config('app.workspace_id', ${workspace}, true), set_config('timezone', 'UTC', true),
           workspace_role(${workspace}::uuid) as role`;
  const [settled, rows] = await batch(sql, [settings, query(sql)], true);
  if (!settled?.[0]?.role) throw new Problem(404, "not-found", "There is no such workspace.");
  return rows ?? [];
}

/** The row of a write function, which checks roles itself. Its audit needs to know the organisation. */
export async function write(env: Env, user: string, workspace: string, query: Query): Promise<Row> {
  const sql = database(env);
  const settings = sql`
    select set_config('app.user_id', ${user}, true), set_config('app.workspace_id', ${workspace}, true),
           set_config('timezone', 'UTC', true)`;
  const org = sql`
    select set_config('app.org_id', org_id::text, true) from workspace where workspace_id = ${workspace}`;
  const [, , rows] = await batch(sql, [settings, org, query(sql)], false);
  const row = rows?.[0];
  if (!row) throw new Problem(404, "not-found", "There is no such workspace.");
  return row;
}

async function batch(sql: Sql, queries: NeonQueryInTransaction[], readOnly: boolean): Promise<Row[][]> {
  try {
    return (await sql.transaction(queries as never, { readOnly })) as Row[][];
  } catch (error) {
    throw refusal(error as Failure);
  }
}

type Failure = Error & { code?: string; constraint?: string };

/** The functions of the schema raise DR404, DR409, … with a code of their own. */
function refusal(error: Failure): Error {
  if (!error.code?.startsWith("DR")) return error;
  return new Problem(Number(error.code.slice(2)) as 409, error.constraint ?? "refused", error.message);
}
