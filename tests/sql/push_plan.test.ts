import pg from "pg";
import { expect, test } from "vitest";
import { world } from "../edge/world.ts";
import { app, typeId } from "./database.ts";
import { newTenant, type Tenant } from "./tenants.ts";

/** The plans of everything that a push runs, as auto_explain tells them. */
async function plans(t: Tenant): Promise<string[]> {
  const client = new pg.Client({ connectionString: world().databaseUrl });
  const told: string[] = [];
  client.on("notice", ({ message }) => told.push(message ?? ""));
  await client.connect();
  try {
    await client.query("load 'auto_explain'");
    await client.query(
      `set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on;
       set auto_explain.log_level = notice; set enable_seqscan = off; set role drey_app`,
    );
    await client.query("begin");
    await client.query(
      "select set_config('app.user_id', $1, true), set_config('app.org_id', $2, true), set_config('app.workspace_id', $3, true)",
      [t.user, t.org, t.workspace],
    );
    const scope = { scope_type: "project", scope_id: typeId("prj", t.project) };
    const items = Array.from({ length: 20 }, (_, n) => {
      return { id: n + 1, ...scope, entity_type: "request", entity_id: `e${n}`, op: "upsert", clock: {} };
    });
    const values = JSON.stringify(items.map(() => ({})));
    await client.query("select * from sync_push($1::uuid, 'c', null, null, $2::json, $3::json)", [
      t.workspace,
      JSON.stringify(items),
      values,
    ]);
    await client.query("commit");
  } finally {
    await client.end();
  }
  return told;
}

test("a push reads and writes one partition of log and state, by index", async () => {
  const db = app();
  const tenant = await newTenant(db);
  await db.end();
  const scans = (await plans(tenant))
    .flatMap((plan) => plan.split("\n"))
    .filter((line) => /\bon sync_(state|change)_\d+/.test(line) && !line.includes("never executed"));
  expect(scans.length).toBeGreaterThan(0);
  for (const line of scans) expect(line).toMatch(/Index (Only )?Scan using sync_(state|change)_\d+_pkey/);
  expect(new Set(scans.map((line) => /sync_state_\d+ /.exec(line)?.[0])).size).toBe(1);
});
