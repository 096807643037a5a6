/** One round of a push as the Worker sends it, and a divergence to try things on. */
import { expect } from "vitest";
import { type Database, typeId } from "./database.ts";
import type { Tenant } from "./tenants.ts";

export interface Item {
  id: number;
  value?: string;
  mine?: string;
  [field: string]: unknown;
}

export interface Pushed {
  results: {
    id: number;
    outcome: string;
    code?: string;
    divergence_id?: string;
    [field: string]: unknown;
  }[];
  stale: boolean;
  epoch: number | undefined;
}

const scopeOf = (t: Tenant) => ({ scope_type: "project", scope_id: typeId("prj", t.project) });

/** One round; the client's clock names the mutation alone unless the item has another. */
export async function round(
  db: Database,
  t: Tenant,
  client: string,
  items: Item[],
  { elseDiverge = false, session = null as string | null, retention = {} as Record<string, number> } = {},
): Promise<Pushed> {
  const rest = items.map(({ value: _value, mine: _mine, ...item }) => ({
    ...scopeOf(t),
    entity_type: "request",
    entity_id: "r",
    op: "upsert",
    clock: { [client]: item.id },
    ...item,
  }));
  const { clients = 7_776_000_000, sessions = 86_400_000, divergences = 7_776_000_000 } = retention;
  const row = await db.one(
    t,
    `select * from sync_push($1::uuid, $2, $3::uuid, null, $4::json, $5::json, $6::json, $7::boolean,
                             $8::bigint, $9::bigint, $10::bigint)`,
    [
      t.workspace,
      client,
      session,
      JSON.stringify(rest),
      `[${items.map(({ value, op }) => (op === "delete" ? "null" : (value ?? "{}"))).join(",")}]`,
      `[${items.map(({ mine }) => mine ?? "null").join(",")}]`,
      String(elseDiverge),
      String(clients),
      String(sessions),
      String(divergences),
    ],
  );
  return {
    results: JSON.parse(row.results ?? ""),
    stale: row.is_stale === "t",
    epoch: JSON.parse(row.scopes ?? "")[0]?.epoch,
  };
}

/** `a` writes, `b` writes over it, `a` is late: one divergence at version 2. */
export async function diverged(db: Database, t: Tenant): Promise<string> {
  await round(db, t, "a", [{ id: 1, value: '{"by": "a"}' }]);
  await round(db, t, "b", [{ id: 1, base_version: 1, value: '{"by": "b"}' }]);
  const late = { id: 2, base_version: 1, value: '{"by": "late"}', expect_version: 2, decision: "diverge" };
  const { results } = await round(db, t, "a", [late]);
  expect(results).toMatchObject([
    { id: 2, outcome: "diverged", version: 2, value: { by: "b" }, deleted: false },
  ]);
  return results[0]?.divergence_id ?? "";
}
