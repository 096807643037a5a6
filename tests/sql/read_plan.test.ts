/**
 * The plans of what functions run: a reader of a scope reads one partition, by index, however long other logs are.
 */
import pg from "pg";
import { expect, test } from "vitest";
import { world } from "../edge/world.ts";
import { app, typeId } from "./database.ts";
import { statements } from "./statements.ts";
import { newTenant, type Tenant } from "./tenants.ts";

/** What auto_explain tells of these queries, run as the Worker's role. */
async function plans(t: Tenant, run: (client: pg.Client, scope: string[]) => Promise<void>): Promise<string> {
  const client = new pg.Client({ connectionString: world().databaseUrl });
  const told: string[] = [];
  await client.connect();
  try {
    const scope = ["project", typeId("prj", t.project)];
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
    const items = Array.from({ length: 200 }, (_, n) => {
      const entity = { entity_type: "request", entity_id: `e${n % 150}`, op: "upsert", clock: {} };
      return {
        id: n + 1,
        scope_type: scope[0],
        scope_id: scope[1],
        ...entity,
        base_version: n < 150 ? null : n - 149,
      };
    });
    const values = JSON.stringify(items.map(() => ({})));
    await client.query("select * from sync_push($1::uuid, 'c', null, null, $2::json, $3::json)", [
      t.workspace,
      JSON.stringify(items),
      values,
    ]);
    client.on("notice", ({ message }) => told.push(message ?? ""));
    await run(client, scope);
    await client.query("rollback");
  } finally {
    await client.end();
  }
  return told.join("\n");
}

function scans(plan: string): string[] {
  return plan
    .split("\n")
    .filter((line) => /\bon sync_(state|change)_\d+/.test(line) && !line.includes("never executed"));
}

async function sql(name: string): Promise<string> {
  const found = (await statements()).find((statement) => statement.name === name);
  if (!found) throw new Error(`there is no statement ${name}`);
  return found.sql;
}

test.each([
  ["catch-up", "sync.read", ["0", "1048576"]],
  ["the tail", "sync.read", ["200", "0"]],
  ["a snapshot", "sync.snapshot", ["180", "", "", "1048576"]],
])(
  "%s reads one partition, by index",
  async (_what, name, parameters) => {
    const text = await sql(name);
    const db = app();
    const tenant = await newTenant(db);
    await db.end();
    const plan = await plans(tenant, async (client, scope) => {
      const { rows } = await client.query(text, [tenant.workspace, ...scope, ...parameters]);
      expect(rows.length).toBe(1);
    });
    const lines = scans(plan);
    expect(lines.length, plan).toBeGreaterThan(0);
    for (const line of lines) expect(line).toMatch(/Index (Only )?Scan using sync_(state|change)_\d+_/);
    expect(new Set(lines.map((line) => /sync_(?:state|change)_(\d+) /.exec(line)?.[1])).size).toBe(1);
  },
  600_000,
);

test("a page of projects walks its index in order, from wherever it begins", async () => {
  const text = await sql("project.list");
  const db = app();
  const tenant = await newTenant(db);
  await db.end();
  const plan = await plans(tenant, async (client) => {
    // Postgres plans the first five calls with their values, and then once for all.
    for (let n = 0; n < 6; n += 1) {
      const { rows } = await client.query(text, [tenant.workspace, "11", "2999-01-01", tenant.project]);
      expect(rows.map((row) => row.project_id)).toEqual([tenant.project]);
    }
  });
  const walks = plan.split("\n").filter((line) => line.includes("Index Cond") && line.includes("ROW("));
  expect(walks.length, plan.slice(-2_000)).toBe(6);
  expect(plan).not.toMatch(/Seq Scan on project/);
}, 600_000);
