/**
 * The plans of reading the log, on a log of some size and with every plan allowed: one partition, by the index of its primary
 * key, whether Postgres plans for the values at hand or once for all. Push has its own (push_plan.test.ts).
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fillLog, scopesOf } from "../../dev/log_rows.ts";
import { world } from "../edge/world.ts";
import { app, type Database, type Row } from "./database.ts";
import { statements } from "./statements.ts";
import { newTenant, type Tenant } from "./tenants.ts";

/** Two tenants: many scopes of a hundred changes, and one scope that is most of its partition. */
const MANY = { changes: 40_000, scopes: 400 };
const ONE = { changes: 20_000, scopes: 1 };

let db: Database;
let many: Tenant;
let one: Tenant;
let read: string;

beforeAll(async () => {
  db = app();
  [many, one] = [await newTenant(db), await newTenant(db)];
  await fillLog(world().databaseUrl, { ...many, ...MANY });
  await fillLog(world().databaseUrl, { ...one, ...ONE });
  read = (await statements()).find(({ name }) => name === "sync.read")?.sql ?? "";
}, 600_000);
afterAll(() => db.end());

interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  "Index Cond"?: string;
  "Actual Rows"?: number;
  "Actual Loops"?: number;
  "Rows Removed by Filter"?: number;
  Plans?: Plan[];
}

const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];

/** The seventh scope of the many, or the only one. */
const scopeOf = (tenant: Tenant) => scopesOf({ ...tenant, scopes: 7 })[tenant === one ? 0 : 6] ?? "";

/** What ran of a plan and read the log or the state. */
async function scans(tenant: Tenant, after: number, bytes: number, mode: string): Promise<Plan[]> {
  const values = [tenant.workspace, "collection", scopeOf(tenant), String(after), String(bytes)];
  const literals = values.map((value) => `'${value}'`).join(", ");
  const name = `read_${mode}_${after}_${bytes}`;
  // One connection: prepared statements live in theirs.
  const rows = await db.together(tenant, [
    `set local plan_cache_mode = ${mode}`,
    `prepare ${name} as ${read}`,
    `explain (analyze, format json) execute ${name}(${literals})`,
    `deallocate ${name}`,
  ]);
  const [{ Plan: plan }] = JSON.parse((rows[2] as Row[])[0]?.["QUERY PLAN"] ?? "") as [{ Plan: Plan }];
  return nodes(plan).filter(
    (node) => /^sync_(change|state)/.test(node["Relation Name"] ?? "") && (node["Actual Loops"] ?? 0) > 0,
  );
}

describe.each([
  ["many scopes", () => many, MANY],
  ["one scope", () => one, ONE],
])("in a log of %s", (_, tenantOf, { changes, scopes }) => {
  const epoch = changes / scopes;
  test.each([
    ["the beginning", 0, 1 << 20],
    ["the middle", epoch / 2, 1 << 20],
    ["the tail, with nothing to come", epoch, 1 << 20],
    ["now", 0, 0],
  ])("a read from %s asks one partition, by its primary key, for one chunk", async (_from, after, bytes) => {
    for (const mode of ["force_custom_plan", "force_generic_plan"]) {
      const found = await scans(tenantOf(), after, bytes, mode);
      expect(found.length, mode).toBeGreaterThan(0);
      expect(new Set(found.map((node) => node["Relation Name"])).size, mode).toBe(1);
      for (const node of found) expectByKey(node);
    }
  });
});

/** By the index, on all of its columns: nothing is read that is not wanted, however long the log is. */
function expectByKey(node: Plan): void {
  const isBitmap = node["Node Type"] === "Bitmap Heap Scan";
  const index = isBitmap ? node.Plans?.[0] : node;
  expect(node["Node Type"]).toMatch(/^(Index Scan|Index Only Scan|Bitmap Heap Scan)$/);
  expect(index?.["Index Name"]).toBe(`${node["Relation Name"]}_pkey`);
  for (const column of ["workspace_id", "scope_type", "scope_id", "server_epoch"]) {
    expect(index?.["Index Cond"]).toContain(column);
  }
  expect(node["Rows Removed by Filter"] ?? 0).toBe(0);
  expect(node["Actual Rows"]).toBeLessThanOrEqual(1001);
}

test("the loader leaves what pushes would have left", async () => {
  const count = "select count(*) as n from sync_change where workspace_id = $1::uuid";
  expect(await db.as(many, count, [many.workspace])).toEqual([{ n: String(MANY.changes) }]);
  const wrong = await db.as(
    many,
    `select 1 from sync_scope s
     full join (select scope_id, max(server_epoch) as last, count(*) as n from sync_change group by 1) c using (scope_id)
     full join (select scope_id, max(version) as last from sync_state group by 1) t using (scope_id)
     where s.scope_type = 'collection' and (s.epoch, s.epoch, s.epoch) is distinct from (c.last, c.n, t.last)`,
  );
  expect(wrong).toEqual([]);
  const push = "select results from sync_push($1::uuid, 'mine', null, null, $2::json, '[{}]')";
  const item = {
    id: 1,
    scope_type: "collection",
    scope_id: scopeOf(many),
    entity_type: "request",
    entity_id: "new",
  };
  const items = JSON.stringify([{ ...item, op: "upsert", clock: {} }]);
  const pushed = await db.one(many, push, [many.workspace, items]);
  expect(JSON.parse(pushed.results ?? "")).toMatchObject([
    { outcome: "applied", epoch: MANY.changes / MANY.scopes + 1 },
  ]);
});
