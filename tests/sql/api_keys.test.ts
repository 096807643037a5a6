import { afterAll, beforeAll, expect, test } from "vitest";
import { admin, app, type Database, refusal, request, typeId, uuid } from "./database.ts";
import { join, newProject, newTenant, type Tenant } from "./tenants.ts";

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

const bytes = () => `\\x${uuid().replaceAll("-", "").repeat(2)}`;

interface Made {
  id: string;
  digest: string;
}

async function make(t: Tenant, user = t.user, project: string | null = null): Promise<Made> {
  const [id, digest] = [uuid(), bytes()];
  await db.one(
    { ...t, user },
    "select * from api_key_create(null, null, null, null, $1, $2::uuid, $3::uuid, 'Key', $4::bytea, $5::bytea, 'read,write', $6::uuid, '', null)",
    [request, t.workspace, id, digest, bytes(), project],
  );
  return { id, digest };
}

const rotate = (t: Tenant, key: string, overlap: number) =>
  db.one(
    t,
    "select * from api_key_rotate(null, null, null, null, $1, $2::uuid, $3::uuid, $4::uuid, $5::bytea, $6::bytea, $7::int, null)",
    [request, t.workspace, key, uuid(), bytes(), bytes(), String(overlap)],
  );
const revoke = (t: Tenant, key: string) =>
  db.one(t, "select * from api_key_revoke($1, $2::uuid, $3::uuid)", [request, t.workspace, key]);
const find = (digest: string) => db.as({}, "select * from api_key_find($1::bytea)", [digest]);
const createProject = (t: Tenant, key: string) =>
  db.as(
    { ...t, project: "", key },
    "select project_create(null, null, null, null, $1, $2::uuid, $3::uuid, 'P', $4, '')",
    [request, t.workspace, uuid(), uuid()],
  );
const role = async (t: Tenant, key: string, user = t.user) =>
  (await db.one({ ...t, project: "", user, key }, "select workspace_role($1::uuid) as role", [t.workspace]))
    .role;

test("a key is found by exactly its digest, without a tenant, and not through the table", async () => {
  const t = await newTenant(db);
  const { id, digest } = await make(t);
  expect(await find(digest)).toMatchObject([
    { key_id: id, workspace_id: t.workspace, created_by: t.user, scopes: "read,write", authz_epoch: "2" },
  ]);
  expect(await find(bytes())).toEqual([]);
  expect(await db.as({ user: t.user }, "select 1 from api_key")).toEqual([]);
});

test("a key acts as its creator, nobody else, and only while it holds", async () => {
  const t = await newTenant(db);
  const colleague = await join(db, t.user, t.org, "admin");
  const { id } = await make(t);
  expect(await role(t, id)).toBe("admin");
  expect(await role(t, id, colleague)).toBeNull();
  expect(await role(t, uuid())).toBeNull();
  expect(await refusal(createProject(t, id))).toBe("allowed");
  await revoke(t, id);
  expect(await role(t, id)).toBeNull();
  expect(await refusal(createProject(t, id))).toBe("DR401 invalid-token");
});

test("a rotation without overlap refuses the old key's writes in the same commit", async () => {
  const t = await newTenant(db);
  const { id } = await make(t);
  await rotate(t, id, 3_600);
  expect(await refusal(createProject(t, id))).toBe("allowed");
  await rotate(t, id, 0);
  expect(await refusal(createProject(t, id))).toBe("DR401 invalid-token");
  expect(await refusal(rotate(t, id, 0))).toBe("DR409 conflict");
});

test("whatever narrows a key moves the epoch that isolates compare", async () => {
  const t = await newTenant(db);
  const { id, digest } = await make(t);
  const epoch = async () => Number((await find(digest))[0]?.authz_epoch);
  const before = await epoch();
  const rotated = await rotate(t, id, 3_600);
  expect([await epoch(), Number(rotated.authz_epoch)]).toEqual([before + 1, before + 1]);
  expect(Number((await revoke(t, id)).authz_epoch)).toBe(before + 2);
});

test("a seed outlives its request only in the answer of an idempotent create", async () => {
  const t = await newTenant(db);
  const create = (seed: string, id = uuid()) =>
    db.one(
      t,
      "select * from api_key_create('POST', '/keys', 'one', '\\x01'::bytea, $1, $2::uuid, $3::uuid, 'Key', $4::bytea, $5::bytea, 'read', null, '', null)",
      [request, t.workspace, id, bytes(), seed],
    );
  const seed = bytes();
  const first = await create(seed);
  const again = await create(bytes());
  expect(again).toEqual({ ...first, replayed: "t" });
  expect(again.seed).toBe(seed);
  const columns = await owner.bare(
    "select column_name from information_schema.columns where table_name = 'api_key' and column_name ~ 'seed|secret|token'",
  );
  expect(columns).toEqual([]);
});

test("the Worker's own id back is its retry of a lost commit", async () => {
  const t = await newTenant(db);
  const [id, digest, seed] = [uuid(), bytes(), bytes()];
  const create = () =>
    db.one(
      t,
      "select * from api_key_create(null, null, null, null, $1, $2::uuid, $3::uuid, 'Key', $4::bytea, $5::bytea, 'read', null, '', null)",
      [request, t.workspace, id, digest, seed],
    );
  const first = await create();
  expect(await create()).toEqual(first);
});

test("keys end with their creator: out of the workspace, out of the organisation", async () => {
  const t = await newTenant(db);
  const inWorkspace = { id: t.workspace, role: "admin" };
  const [one, two] = [
    await join(db, t.user, t.org, "member", inWorkspace),
    await join(db, t.user, t.org, "member", inWorkspace),
  ];
  const [first, second, mine] = [await make(t, one), await make(t, two), await make(t)];
  await db.one(t, "select workspace_member_remove($1, null, $2::uuid, $3::uuid)", [
    request,
    t.workspace,
    one,
  ]);
  await db.one({ user: t.user, org: t.org }, "select org_member_remove($1, null, $2::uuid, $3::uuid)", [
    request,
    t.org,
    two,
  ]);
  expect(await find(first.digest)).toEqual([]);
  expect(await find(second.digest)).toEqual([]);
  // The owner leaves the list of members and stays what he is: his key stays too.
  await db.one(t, "select workspace_member_remove($1, null, $2::uuid, $3::uuid)", [
    request,
    t.workspace,
    t.user,
  ]);
  expect(await find(mine.digest)).toHaveLength(1);
});

test("a restricted key sees its project alone, in every table that has projects", async () => {
  const t = await newTenant(db);
  const other = await newProject(db, t);
  const push = (project: string) => {
    const scope = { scope_type: "project", scope_id: typeId("prj", project) };
    const item = { id: 1, ...scope, entity_type: "request", entity_id: "x", op: "upsert", clock: {} };
    return db.one(t, "select results from sync_push($1::uuid, $2, null, null, $3::json, '[{}]')", [
      t.workspace,
      uuid(),
      JSON.stringify([item]),
    ]);
  };
  await push(t.project);
  await push(other);
  const { id } = await make(t, t.user, t.project);
  const restricted = { ...t, key: id };
  for (const table of ["project", "sync_scope"]) {
    const seen = await db.as(restricted, `select project_id from ${table} where workspace_id = $1`, [
      t.workspace,
    ]);
    expect(seen, table).toEqual([{ project_id: t.project }]);
  }
  // Restricted, and says that it is not: then it is no key.
  expect(await role(t, id)).toBeNull();
  const exists = "select sync_thing_exists($1::uuid, 'workspace', $2) as here";
  const asked = [t.workspace, typeId("ws", t.workspace)];
  expect([(await db.one(restricted, exists, asked)).here, (await db.one(t, exists, asked)).here]).toEqual([
    "f",
    "t",
  ]);
});

test("two tenants may hold keys of one id, and neither touches the other's", async () => {
  const [a, b] = [await newTenant(db), await newTenant(db)];
  const key = await make(a);
  expect(await db.as(b, "select 1 from api_key where key_id = $1", [key.id])).toEqual([]);
  expect(await refusal(revoke(b, key.id))).toBe("DR404 not-found");
  expect(await refusal(rotate(b, key.id, 0))).toBe("DR404 not-found");
  expect(await find(key.digest)).toHaveLength(1);
});
