/** The log is truncated as far as an archive has taken it and no further, and what it tells from there on stays the same. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { admin, app, type Database, typeId } from "./database.ts";
import { type Item, round } from "./rounds.ts";
import { newTenant, type Tenant } from "./tenants.ts";

let db: Database;
let owner: Database;

beforeAll(() => {
  db = app();
  owner = admin();
});
afterAll(async () => {
  await db.end();
  await owner.end();
});

const params = (t: Tenant, ...rest: number[]) => [
  t.workspace,
  "project",
  typeId("prj", t.project),
  ...rest.map(String),
];

async function archived(t: Tenant, through: number): Promise<number> {
  const row = await owner.one(t, "select sync_archived($1, $2, $3, $4) as n", params(t, through));
  return Number(row.n);
}

async function truncate(t: Tenant, floor: number, limit = 10_000): Promise<[floor: number, removed: number]> {
  const row = await owner.one(t, "select * from sync_truncate($1, $2, $3, $4, $5)", params(t, floor, limit));
  return [Number(row.floor), Number(row.removed)];
}

const epochs = async (t: Tenant) =>
  (await db.as(t, "select server_epoch as n from sync_change order by 1")).map(({ n }) => Number(n));

/** The entities as they stood at an epoch, by the newest change of each that is not above it. */
async function stateAt(t: Tenant, epoch: number): Promise<unknown[]> {
  return db.as(
    t,
    `select entity_id, value from (
       select distinct on (entity_type, entity_id) * from sync_change where server_epoch <= $1::bigint
       order by entity_type, entity_id, server_epoch desc) latest
     where operation <> 'delete' order by entity_id`,
    [String(epoch)],
  );
}

/** Ten changes: 1 2 3 write a, b, c; 4 5 write a again; 6 deletes b; 7 8 9 write a, d, b; 10 deletes c. */
async function tenChanges(t: Tenant): Promise<void> {
  const writes = ["a", "b", "c", "a", "a", "-b", "a", "d", "b", "-c"];
  const items = writes.map((write, n): Item => {
    const op = write.startsWith("-") ? "delete" : "upsert";
    return { id: n + 1, entity_id: write.slice(-1), op, value: `{"n": ${n + 1}}` };
  });
  await round(db, t, "cli", items);
}

test("without an archive nothing is ever truncated", async () => {
  const t = await newTenant(db);
  await tenChanges(t);
  expect(await truncate(t, 5)).toEqual([0, 0]);
  expect(await epochs(t)).toHaveLength(10);
});

test("a floor is at most what the archive has taken, and neither goes back", async () => {
  const t = await newTenant(db);
  await tenChanges(t);
  expect(await archived(t, 7)).toBe(7);
  expect(await archived(t, 3)).toBe(7);
  expect((await truncate(t, 9))[0]).toBe(7);
  expect((await truncate(t, 2))[0]).toBe(7);
  expect(await archived(t, 1_000)).toBe(10);
});

test("what is superseded below the floor goes, oldest first and some at a time; nothing above it does", async () => {
  const t = await newTenant(db);
  await tenChanges(t);
  await archived(t, 10);
  expect(await truncate(t, 8, 2)).toEqual([8, 2]);
  expect(await epochs(t)).toEqual([3, 4, 5, 6, 7, 8, 9, 10]);
  expect(await truncate(t, 8, 2)).toEqual([8, 2]);
  expect(await truncate(t, 8, 2)).toEqual([8, 1]);
  expect(await epochs(t)).toEqual([3, 7, 8, 9, 10]);
});

test("every state since the floor can still be told", async () => {
  const t = await newTenant(db);
  await tenChanges(t);
  const before = await Promise.all(Array.from({ length: 11 }, (_, epoch) => stateAt(t, epoch)));
  await archived(t, 10);
  for (const floor of [2, 4, 6, 9]) {
    await truncate(t, floor);
    for (let epoch = floor; epoch <= 10; epoch += 1) expect(await stateAt(t, epoch)).toEqual(before[epoch]);
  }
  const state = "select count(*) as n from sync_state";
  expect(await db.as(t, state)).toEqual([{ n: "4" }]);
});

test("a duplicate whose merged value was truncated is told as merged, and not as deleted", async () => {
  const t = await newTenant(db);
  await round(db, t, "a", [{ id: 1, value: '{"x": 1}' }]);
  const merged = { id: 1, base_version: 1, value: '{"x": 1, "y": 2}', mine: '{"y": 2}' };
  const first = await round(db, t, "b", [{ ...merged, expect_version: 1, decision: "merge" }]);
  expect(first.results).toMatchObject([{ outcome: "merged", value: { x: 1, y: 2 }, deleted: false }]);
  await round(db, t, "a", [{ id: 2, base_version: 2, value: '{"x": 3}' }]);
  await archived(t, 3);
  await truncate(t, 3);
  const again = await round(db, t, "b", [merged]);
  expect(again.results).toEqual([
    { id: 1, outcome: "duplicate", original: { outcome: "merged", version: 2, epoch: 2 } },
  ]);
});

test("a duplicate whose divergence is forgotten is told as diverged, and not as deleted", async () => {
  const t = await newTenant(db);
  await round(db, t, "a", [{ id: 1 }]);
  await round(db, t, "b", [{ id: 1, base_version: 1 }]);
  const late = { id: 2, base_version: 1, expect_version: 2, decision: "diverge" };
  const { results } = await round(db, t, "a", [late]);
  await owner.bare("delete from sync_divergence where workspace_id = $1", [t.workspace]);
  const again = await round(db, t, "a", [late]);
  expect(again.results).toEqual([
    {
      id: 2,
      outcome: "duplicate",
      original: { outcome: "diverged", version: 2, epoch: 2, divergence_id: results[0]?.divergence_id },
    },
  ]);
});

test("a base that was truncated is not known any more", async () => {
  const t = await newTenant(db);
  await round(db, t, "a", [{ id: 1, value: '{"v": 1}' }]);
  await round(db, t, "b", [{ id: 1, base_version: 1, value: '{"v": 2}' }]);
  await archived(t, 2);
  await truncate(t, 2);
  const { stale, results } = await round(db, t, "a", [{ id: 2, base_version: 1, value: '{"v": 3}' }]);
  expect(stale).toBe(true);
  expect(results).toMatchObject([{ outcome: "stale", base: null, base_known: false }]);
});

test("the Worker's role may do neither", async () => {
  const t = await newTenant(db);
  const denied = (call: Promise<unknown>) => expect(call).rejects.toMatchObject({ code: "42501" });
  await denied(db.one(t, "select sync_archived($1, $2, $3, $4)", params(t, 1)));
  await denied(db.one(t, "select * from sync_truncate($1, $2, $3, $4)", params(t, 1)));
  await denied(db.as(t, "delete from sync_change"));
});

test("the operator sees all 32 partitions, with sizes and without a tenant", async () => {
  const rows = await db.bare(
    "select parent, n, rows, table_bytes, index_bytes from sync_partition order by 1, 2",
  );
  expect(rows.map(({ parent, n }) => `${parent}_${n}`)).toEqual(
    ["sync_change", "sync_state"].flatMap((table) => Array.from({ length: 16 }, (_, n) => `${table}_${n}`)),
  );
  for (const row of rows) expect(Number(row.index_bytes)).toBeGreaterThan(0);
});
