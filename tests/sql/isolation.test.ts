import { afterAll, beforeAll, expect, test } from "vitest";
import { admin, app, type Database, request, typeId, uuid } from "./database.ts";
import { newTenant, type Tenant } from "./tenants.ts";

let db: Database;
let owner: Database;
let a: Tenant;
let b: Tenant;

beforeAll(async () => {
  db = app();
  owner = admin();
  a = await newTenant(db);
  b = await newTenant(db);
});
afterAll(async () => {
  await db.end();
  await owner.end();
});

/** Every table of ours, partitions included; dbmate's own is nobody's. */
async function tables(kinds: string): Promise<string[]> {
  const rows = await owner.bare(
    `select relname from pg_class where relnamespace = 'public'::regnamespace
     and relkind in (${kinds}) and relname <> 'schema_migrations' order by 1`,
  );
  return rows.map(({ relname }) => relname ?? "");
}

test("the Worker's role has neither superuser nor BYPASSRLS, and owns nothing", async () => {
  const [role] = await db.bare(
    "select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb as mighty from pg_roles where rolname = current_user",
  );
  expect(role?.mighty).toBe("f");
  const owned = await owner.bare("select relname from pg_class where relowner = 'drey_app'::regrole");
  expect(owned).toEqual([]);
});

test("row-level security is forced on every table", async () => {
  const lax = await owner.bare(
    `select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
     and relname <> 'schema_migrations' and not (relrowsecurity and relforcerowsecurity)`,
  );
  expect(lax).toEqual([]);
});

test("a query without the settings sees no row of any table", async () => {
  const names = (await tables("'r', 'p'")).filter((name) => !/^sync_(change|state)_\d+$/.test(name));
  expect(names.length).toBeGreaterThan(15);
  for (const name of names) {
    expect(await db.bare(`select 1 from ${name} limit 1`), name).toEqual([]);
  }
});

test("a partition is not reachable by its own name", async () => {
  await expect(db.as(a, "select 1 from sync_change_0")).rejects.toThrow("permission denied");
});

test("every primary and unique key begins with its tenant", async () => {
  const keys = await owner.bare(
    `select i.indexrelid::regclass::text as key, a.attname as first
     from pg_index i join pg_class c on c.oid = i.indrelid
     join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
     where i.indisunique and c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
       and c.relname not in ('schema_migrations') and a.attname not in ('workspace_id', 'org_id', 'user_id')`,
  );
  // Who a token's subject is must be known before there is a tenant; this is the only such key.
  expect(keys).toEqual([{ key: "user_account_subject_key", first: "issuer" }]);
});

test("no policy reads its own table", async () => {
  const policies = await owner.bare(
    "select tablename, coalesce(qual, '') || ' ' || coalesce(with_check, '') as body from pg_policies",
  );
  expect(policies.length).toBeGreaterThan(15);
  for (const { tablename, body } of policies) {
    expect(body, tablename ?? "").not.toMatch(new RegExp(`from \\(?${tablename}\\b`, "i"));
  }
});

test("only the look-ups without a tenant are SECURITY DEFINER, with a pinned path and no public door", async () => {
  const definers = await owner.bare(
    `select p.proname, pg_get_userbyid(p.proowner) as owner, p.proconfig[1] as path,
            has_function_privilege('public', p.oid, 'execute') as open
     from pg_proc p where p.prosecdef and p.pronamespace = 'public'::regnamespace order by 1`,
  );
  const path = "search_path=pg_catalog, public, pg_temp";
  expect(definers).toEqual(
    ["api_key_find", "invitation_accept", "user_seen"].map((proname) => ({
      proname,
      owner: "drey_definer",
      path,
      open: "f",
    })),
  );
  const [definer] = await owner.bare(
    "select rolcanlogin, rolbypassrls, rolsuper from pg_roles where rolname = 'drey_definer'",
  );
  expect(definer).toEqual({ rolcanlogin: "f", rolbypassrls: "t", rolsuper: "f" });
});

test("tenant A sees nothing of tenant B, whatever it asks for", async () => {
  const asked: [string, string[]][] = [
    ["select 1 from org where org_id = $1", [b.org]],
    ["select 1 from org_member where org_id = $1", [b.org]],
    ["select 1 from workspace where workspace_id = $1", [b.workspace]],
    ["select 1 from workspace_member where workspace_id = $1", [b.workspace]],
    ["select 1 from project where project_id = $1", [b.project]],
    ["select 1 from audit_event where org_id = $1", [b.org]],
    ["select 1 from user_account where user_id = $1", [b.user]],
  ];
  for (const [sql, params] of asked) expect(await db.as(a, sql, params), sql).toEqual([]);
});

test("tenant A can write nothing into tenant B, even naming its ids", async () => {
  const project =
    "insert into project (workspace_id, project_id, name, slug, created_by) values ($1, $2, 'x', 'x', $3)";
  await expect(db.as(a, project, [b.workspace, uuid(), a.user])).rejects.toThrow("row-level security");
  expect(
    await db.as(a, "update workspace set name = 'x' where workspace_id = $1 returning 1", [b.workspace]),
  ).toEqual([]);
  expect(await db.as(a, "delete from org where org_id = $1 returning 1", [b.org])).toEqual([]);
  const member =
    "insert into workspace_member (workspace_id, user_id, org_id, role, workspace_created_at) values ($1, $2, $3, 'admin', now())";
  await expect(db.as(a, member, [b.workspace, a.user, a.org])).rejects.toThrow(
    "workspace_member_workspace_fkey",
  );
});

test("ids that B has used are free for A: project, client, entity, idempotency key", async () => {
  const create =
    "select * from project_create('POST', '/p', 'one-key', '\\x01'::bytea, $1, $2::uuid, $3::uuid, 'Same', 'same', '')";
  const push = "select results from sync_push($1::uuid, 'client', null, null, $2::json, $3::json)";
  const results = [];
  const project = uuid();
  for (const tenant of [a, b]) {
    const made = await db.one(tenant, create, [request, tenant.workspace, project]);
    const scope = { scope_type: "project", scope_id: typeId("prj", project) };
    const item = { id: 1, ...scope, entity_type: "request", entity_id: "same", op: "upsert", clock: {} };
    const pushed = await db.one(tenant, push, [tenant.workspace, JSON.stringify([item]), '[{"of":"me"}]']);
    results.push([made.project_id, made.replayed, JSON.parse(pushed.results ?? "")]);
  }
  const applied = [{ id: 1, outcome: "applied", version: 1, epoch: 1 }];
  expect(results).toEqual([
    [project, "f", applied],
    [project, "f", applied],
  ]);
});

test("tenant A's scope of B's project is unknown, and B notices nothing", async () => {
  const scope = { scope_type: "project", scope_id: typeId("prj", b.project) };
  const item = { id: 1, ...scope, entity_type: "request", entity_id: "x", op: "upsert", clock: {} };
  const pushed = await db.one(
    a,
    "select results from sync_push($1::uuid, 'other', null, null, $2::json, '[{}]')",
    [a.workspace, JSON.stringify([item])],
  );
  expect(JSON.parse(pushed.results ?? "")).toMatchObject([{ outcome: "rejected", code: "unknown-scope" }]);
  expect(await db.as(b, "select 1 from sync_scope where scope_id = $1", [scope.scope_id])).toEqual([]);
});

test("the Worker's role can add to the audit and not change it", async () => {
  for (const sql of [
    "update audit_event set action = 'x'",
    "delete from audit_event",
    "update sync_change set value = null",
  ]) {
    await expect(db.as(a, sql), sql).rejects.toThrow("permission denied");
  }
});
