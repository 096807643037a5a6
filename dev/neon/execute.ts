/**
 * Runs one call: a single statement, or a batch in one transaction. Faults happen here, because here is the commit.
 */
import type pg from "pg";
import { type Fault, hold } from "../faults.ts";
import type { Target } from "./connection.ts";
import { NeonFailure } from "./failure.ts";
import type { Pool } from "./pool.ts";
import type { Call, Statement } from "./request.ts";
import { toJson } from "./values.ts";

/** What the caller gets: a body, or (a fault) a connection that closes without an answer. */
export type Outcome = { dropped: true } | { dropped: false; body: unknown };

export async function execute(
  pool: Pool,
  target: Target,
  call: Call,
  faults: Map<string, Fault>,
  gone: AbortSignal,
): Promise<Outcome> {
  const latency = faults.get("latency");
  if (latency) await hold(latency.latency_ms);
  if (faults.has("status500")) throw new NeonFailure(500, "Control plane request failed");
  return pool.use(target, gone, async (client) => {
    const dropEarly = faults.has("drop_before_commit");
    // A caller that left while it waited must leave no effect.
    if (gone.aborted) return { dropped: true };
    const begin = call.begin ?? (dropEarly ? "START TRANSACTION" : undefined);
    if (begin) await client.query(begin);
    const results = await runAll(client, call);
    if (dropEarly || gone.aborted) return { dropped: true };
    if (begin) await client.query("COMMIT");
    if (faults.has("drop_after_commit")) return { dropped: true };
    return { dropped: false, body: call.begin ? { results } : results[0] };
  });
}

/** One after the other; the first error ends the call, and releasing the connection rolls back. */
async function runAll(client: pg.PoolClient, call: Call): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const statement of call.statements) results.push(await run(client, statement, call.rawText));
  return results;
}

async function run(client: pg.PoolClient, statement: Statement, rawText: boolean): Promise<unknown> {
  // The extended protocol takes exactly one statement, as on Neon; values stay the text that Postgres sent.
  const query = {
    text: statement.text,
    values: statement.values,
    rowMode: "array",
    queryMode: "extended",
    types: { getTypeParser: () => (value: string) => value },
  } as unknown as pg.QueryArrayConfig;
  const result: pg.QueryArrayResult<(string | null)[]> = await client.query(query);
  const rows = rawText ? result.rows : result.rows.map((row) => cook(row, result.fields));
  return {
    fields: result.fields.map((field) => ({ ...field, format: "text" })),
    rows: statement.arrayMode ? rows : rows.map((row) => asObject(row, result.fields)),
    command: result.command ?? "",
    rowCount: result.rowCount,
    rowAsArray: statement.arrayMode,
  };
}

function cook(row: (string | null)[], fields: pg.FieldDef[]): unknown[] {
  return row.map((value, index) => (value === null ? null : toJson(value, fields[index]?.dataTypeID ?? 0)));
}

/** Columns of one name collide here, as they do on Neon: the last one wins. */
function asObject(row: unknown[], fields: pg.FieldDef[]): Record<string, unknown> {
  return Object.fromEntries(row.map((value, index) => [fields[index]?.name ?? "", value]));
}
