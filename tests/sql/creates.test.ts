import { afterAll, beforeAll, expect, test } from "vitest";
import { admin, app, type Database, refusal, request, uuid } from "./database.ts";
import { invite, join, newTenant, newUser, type Tenant } from "./tenants.ts";

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

const create = (t: Tenant, key: string | null, id = uuid(), slug: string = uuid(), print = "\\x01") =>
  db.one(
    t,
    "select * from project_create('POST', '/projects', $1, $2::bytea, $3, $4::uuid, $5::uuid, 'P', $6, '')",
    [key, print, request, t.workspace, id, slug],
  );

const projects = async (t: Tenant) =>
  (await owner.bare("select project_id from project where workspace_id = $1", [t.workspace])).length;

test("50 parallel creates with one key create one thing", async () => {
  const t = await newTenant(db);
  const slug = uuid();
  const answers = await Promise.allSettled(Array.from({ length: 50 }, () => create(t, "one", uuid(), slug)));
  const made = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  expect(new Set(made.map(({ project_id }) => project_id)).size).toBe(1);
  expect(made.filter(({ replayed }) => replayed === "f").length).toBe(1);
  const refused = answers.flatMap((answer) =>
    answer.status === "rejected" ? [answer.reason.constraint] : [],
  );
  expect(refused.filter((code) => code !== "idempotency-in-flight")).toEqual([]);
  expect(await projects(t)).toBe(2);
});

test("a replay answers what was answered, though the thing has changed since", async () => {
  const t = await newTenant(db);
  const first = await create(t, "k");
  await db.as(t, "select project_update($1, null, $2::uuid, $3::uuid, 'Renamed', null, null)", [
    request,
    t.workspace,
    first.project_id ?? null,
  ]);
  expect(await create(t, "k")).toEqual({ ...first, replayed: "t" });
});

test("the Worker's own id back is its retry of a lost commit: no replay, with a key or without", async () => {
  const t = await newTenant(db);
  for (const key of ["retried", null]) {
    const id = uuid();
    const slug = uuid();
    const first = await create(t, key, id, slug);
    const again = await create(t, key, id, slug);
    expect([again.replayed, again.project_id, again.revision]).toEqual(["f", id, first.revision]);
  }
  expect(await projects(t)).toBe(3);
});

test("a replay is answered to who may still create", async () => {
  const t = await newTenant(db);
  const member = await join(db, t.user, t.org, "admin", { id: t.workspace, role: "viewer" });
  const mine = { ...t, user: member };
  const demote = () =>
    db.as(t, "select org_member_put($1, null, $2::uuid, $3::uuid, 'member')", [request, t.org, member]);
  const invitation = () =>
    db.one(
      mine,
      `select * from invitation_create('POST', '/i', 'k', '\\x01', $1, $2::uuid, $3::uuid, 'a@example.com', 'member', null, null,
                                       $4::bytea, 24)`,
      [request, t.org, uuid(), `\\x${"ab".repeat(32)}`],
    );
  const workspace = () =>
    db.one(
      mine,
      "select * from workspace_create('POST', '/w', 'k', '\\x01', $1, $2::uuid, $3::uuid, 'W', 'w')",
      [request, t.org, uuid()],
    );
  for (const act of [() => create(mine, "k"), invitation, workspace]) {
    expect((await act()).replayed).toBe("f");
    expect((await act()).replayed).toBe("t");
  }
  await demote();
  expect(await refusal(create(mine, "k"))).toBe("DR403 forbidden");
  expect(await refusal(invitation())).toBe("DR403 forbidden");
  expect((await workspace()).replayed).toBe("t");
  await db.as(t, "select org_member_remove($1, null, $2::uuid, $3::uuid)", [request, t.org, member]);
  for (const act of [() => create(mine, "k"), invitation, workspace]) {
    expect(await refusal(act())).toBe("DR404 not-found");
  }
});

test("an accept with a key is replayed to a member, its own retry is none", async () => {
  const t = await newTenant(db);
  const digest = await invite(db, t.user, t.org, "member");
  const guest = await newUser(db);
  const accept = (by: string, print = "\\x01") =>
    db.one({ user: guest }, "select * from invitation_accept('POST', '/a', 'k', $1::bytea, $2, $3::bytea)", [
      print,
      by,
      digest,
    ]);
  const first = await accept("req_1");
  expect(first.replayed).toBe("f");
  expect(await accept("req_1")).toEqual(first);
  expect(await accept("req_2")).toEqual({ ...first, replayed: "t" });
  expect(await refusal(accept("req_3", "\\x02"))).toBe("DR422 idempotency-mismatch");
  await db.as(t, "select org_member_remove($1, null, $2::uuid, $3::uuid)", [request, t.org, guest]);
  expect(await refusal(accept("req_4"))).toBe("DR404 not-found");
});

test("a key of another payload is refused, and an expired key is free again", async () => {
  const t = await newTenant(db);
  await create(t, "k");
  expect(await refusal(create(t, "k", uuid(), uuid(), "\\x02"))).toBe("DR422 idempotency-mismatch");
  await owner.bare("update idempotency set created_at = now() - interval '25 hours' where user_id = $1", [
    t.user,
  ]);
  expect((await create(t, "k", uuid(), uuid(), "\\x02")).replayed).toBe("f");
});

test("a failed create leaves its key unused", async () => {
  const t = await newTenant(db);
  await create(t, null, uuid(), "taken");
  await expect(create(t, "k", uuid(), "taken")).rejects.toMatchObject({
    code: "23505",
    constraint: "project_slug_key",
  });
  expect((await create(t, "k", uuid(), "free")).replayed).toBe("f");
});

test("nobody holds more than 10,000 live keys, and expired ones go", async () => {
  const t = await newTenant(db);
  const fill = (age: string) =>
    owner.bare(
      `insert into idempotency (user_id, method, route, idem_key, fingerprint, answer, created_at)
       select $1::uuid, 'POST', '/x', n || $2, '\\x01', '{}', now() - $2::interval from generate_series(1, 10000) n`,
      [t.user, age],
    );
  await fill("25 hours");
  expect((await create(t, "fits")).replayed).toBe("f");
  const count = async () =>
    Number((await owner.bare("select count(*) from idempotency where user_id = $1", [t.user]))[0]?.count);
  expect(await count()).toBe(10_000 - 100 + 1);
  await fill("1 hour");
  expect(await refusal(create(t, "one too many"))).toBe("DR409 idempotency-keys-exhausted");
});

/** These rows outlive a deploy: a replay by tomorrow's Worker must still find its columns. */
test("the stored answer has the columns of the function's row", async () => {
  const t = await newTenant(db);
  await create(t, "pinned");
  const [stored] = await owner.bare("select answer from idempotency where user_id = $1", [t.user]);
  expect(Object.keys(JSON.parse(stored?.answer ?? "")).sort()).toEqual([
    "authz_epoch",
    "created_at",
    "description",
    "name",
    "project_id",
    "replayed",
    "revision",
    "slug",
    "updated_at",
    "version",
    "workspace_id",
  ]);
});
