/** A page of a snapshot ends in bounded time, also where most entities were deleted. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { admin, app, type Database, typeId } from "./database.ts";
import { round } from "./rounds.ts";
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

const PASSED = 10_000;

/** The page of epoch 2 behind an entity. */
function page(t: Tenant, after: string) {
  const sql = "select * from sync_snapshot($1::uuid, 'project', $2, 2, $3, $4, 1048576)";
  return db.one(t, sql, [t.workspace, typeId("prj", t.project), after && "request", after]);
}

const keys = (messages: string | null | undefined) =>
  (JSON.parse(messages ?? "") as { key: string }[]).map(({ key }) => key);

test("a page ends after ten thousand deleted entities, the next one goes on behind them, and both stay as they are", async () => {
  const t = await newTenant(db);
  await round(db, t, "c", [
    { id: 1, entity_id: "a" },
    { id: 2, entity_id: "z" },
  ]);
  await owner.bare(
    `insert into sync_state (workspace_id, scope_type, scope_id, entity_type, entity_id, version, clock, deleted, client_id, mutation_id)
     select $1::uuid, 'project', $2, 'request', 'm' || lpad(n::text, 6, '0'), 2, '{}', true, 'c', 2 from generate_series(1, ${PASSED + 1}) n`,
    [t.workspace, typeId("prj", t.project)],
  );
  const first = await page(t, "");
  expect(keys(first.messages)).toEqual(["request/a"]);
  expect([first.closed, first.last_id, first.exact]).toEqual(["t", "m010000", "t"]);
  const second = await page(t, first.last_id ?? "");
  expect(keys(second.messages)).toEqual(["request/z"]);
  expect([second.closed, second.exact]).toEqual(["f", "t"]);
  await round(db, t, "c", [{ id: 3, entity_id: "b" }]);
  expect(await page(t, "")).toEqual(first);
});
