/** Settings: who reads and writes them, and that their history only grows. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { app, type Database, refusal, request } from "./database.ts";
import { newTenant, type Tenant } from "./tenants.ts";

const PLATFORM = "00000000-0000-0000-0000-000000000000";
const PUT = "select * from settings_put($1, $2::bigint[], $3::uuid, $4, '192.0.2.1')";
const READ = "select document from settings_change where org_id = $1::uuid order by version desc";
let db: Database;
let a: Tenant;
let b: Tenant;

beforeAll(async () => {
  db = app();
  [a, b] = [await newTenant(db), await newTenant(db)];
});
afterAll(() => db.end());

const put = (org: string, document: string, ifMatch: string | null = null) =>
  db.one({ org }, PUT, [request, ifMatch, org, document]);

test("a tenant reads what holds for him, and nothing of another", async () => {
  await put(a.org, '{"shadow":["strict"]}');
  await put(b.org, '{"shadow":["relaxed"]}');
  for (const caller of [
    { user: a.user, org: a.org },
    { user: a.user, workspace: a.workspace },
  ]) {
    expect(await db.as(caller, READ, [a.org])).toEqual([{ document: '{"shadow":["strict"]}' }]);
    expect(await db.as(caller, READ, [b.org])).toEqual([]);
  }
  expect(await db.bare(READ, [PLATFORM])).toEqual([]);
});

test("no session of a person writes, whatever it names", async () => {
  for (const org of [a.org, b.org, PLATFORM]) {
    const caller = { user: a.user, org: a.org };
    expect(await refusal(db.as(caller, PUT, [request, null, org, "{}"]))).toBe("DR403 forbidden");
    const insert = `insert into settings_change (org_id, document, request_id, address) values ('${org}', '{}', 'r', 'a')`;
    await expect(db.as(caller, insert)).rejects.toThrow("row-level security");
  }
  expect(await refusal(db.as({ org: a.org }, PUT, [request, null, b.org, "{}"]))).toBe("DR403 forbidden");
});

test("the history only grows, and the same document again is no change", async () => {
  const first = await put(a.org, '{"shadow":[]}');
  expect((await put(a.org, '{"shadow":[]}')).version).toBe(first.version);
  const second = await put(a.org, "{}", `{${first.version}}`);
  expect(Number(second.version)).toBeGreaterThan(Number(first.version));
  expect(await refusal(put(a.org, '{"shadow":[]}', `{${first.version}}`))).toBe("DR412 precondition-failed");
  for (const sql of ["update settings_change set document = ''", "delete from settings_change"]) {
    await expect(db.as({ org: a.org }, sql), sql).rejects.toThrow("permission denied");
  }
});
