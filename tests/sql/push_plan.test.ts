import pg from "pg";
import { expect, test } from "vitest";
import { world } from "../edge/world.ts";
import { app, typeId } from "./database.ts";
import { newTenant, type Tenant } from "./tenants.ts";

const DOCUMENTS = 20;

/** Pushes documents after so many others, and tells the plans of everything it runs, by auto_explain. */
async function plans(t: Tenant, { after = 0 } = {}): Promise<string[]> {
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
    const items = Array.from({ length: DOCUMENTS }, (_, n) => {
      return {
        id: after + n + 1,
        ...scope,
        entity_type: "request",
        entity_id: `e${after + n}`,
        op: "upsert",
        clock: {},
      };
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

/** Each statement is planned anew after the pooler's DISCARD ALL, which is most of what a push of one document costs. */
test("a push that only has documents runs no statement for anything else, and plans for one partition", async () => {
  const db = app();
  const tenant = await newTenant(db);
  await db.end();
  await plans(tenant);
  const told = await plans(tenant, { after: DOCUMENTS });
  for (const absent of [
    "collection",
    "environment",
    "sync_user",
    "sync_session",
    "sync_divergence",
    "api_key",
    "project",
  ]) {
    expect(
      told.filter((plan) => new RegExp(`\\b(on|using|into|from) ${absent}\\w*`, "i").test(plan)),
    ).toEqual([]);
  }
  const partitions = told.join("\n").matchAll(/\bon sync_(?:state|change)_(\d+)/g);
  expect(new Set(Array.from(partitions, ([, n]) => n)).size).toBe(1);
});
