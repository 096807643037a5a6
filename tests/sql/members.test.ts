import { afterAll, beforeAll, expect, test } from "vitest";
import { admin, app, type Database, refusal, request, typeId, uuid } from "./database.ts";
import { accept, invite, join, newOrg, newTenant, newUser, newWorkspace, type Tenant } from "./tenants.ts";

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

const put = (user: string, org: string, target: string, role: string) =>
  db.one({ user, org }, "select * from org_member_put($1, null, $2::uuid, $3::uuid, $4)", [
    request,
    org,
    target,
    role,
  ]);
const remove = (user: string, org: string, target: string) =>
  db.one({ user, org }, "select * from org_member_remove($1, null, $2::uuid, $3::uuid)", [
    request,
    org,
    target,
  ]);
const wsPut = (t: Tenant, target: string, role: string, user = t.user) =>
  db.one({ ...t, user }, "select * from workspace_member_put($1, null, $2::uuid, $3::uuid, $4)", [
    request,
    t.workspace,
    target,
    role,
  ]);

const actions = async (org: string) =>
  (
    await owner.bare("select action from audit_event where org_id = $1 order by created_at, event_id", [org])
  ).map(({ action }) => action);

test("a user is made at first sight, and written again only when something has changed", async () => {
  const seen = (email: string | null, id = uuid()) =>
    db.one({}, "select user_seen('https://i.test', 'one', $1, null, $2::uuid) as id", [email, id]);
  const first = await seen("a@x.test");
  const xmin = () =>
    owner.bare("select xmin::text, email from user_account where user_id = $1", [first.id ?? ""]);
  const before = await xmin();
  expect(await seen("a@x.test")).toEqual(first);
  expect(await seen(null)).toEqual(first);
  expect(await xmin()).toEqual(before);
  expect(await seen("b@x.test")).toEqual(first);
  expect((await xmin())[0]?.email).toBe("b@x.test");
});

test("the last owner can neither leave nor be demoted", async () => {
  const { user, org } = await newTenant(db);
  expect(await refusal(remove(user, org, user))).toBe("DR409 last-owner");
  expect(await refusal(put(user, org, user, "admin"))).toBe("DR409 last-owner");
});

test("of two owners who demote or remove each other at once, one remains", async () => {
  for (const attack of [put, (by: string, org: string, whom: string) => remove(by, org, whom)]) {
    const first = await newUser(db);
    const org = await newOrg(db, first);
    const second = await join(db, first, org, "owner");
    await Promise.allSettled([attack(first, org, second, "member"), attack(second, org, first, "member")]);
    const owners = await owner.bare("select 1 from org_member where org_id = $1 and role = 'owner'", [org]);
    expect(owners.length).toBe(1);
  }
});

test("two owners who leave at once: one remains", async () => {
  const first = await newUser(db);
  const org = await newOrg(db, first);
  const second = await join(db, first, org, "owner");
  await Promise.allSettled([remove(first, org, first), remove(second, org, second)]);
  const owners = await owner.bare("select 1 from org_member where org_id = $1 and role = 'owner'", [org]);
  expect(owners.length).toBe(1);
});

test("only an owner grants or takes `owner`, and strangers are not found", async () => {
  const { user, org } = await newTenant(db);
  const boss = await join(db, user, org, "admin");
  const member = await join(db, user, org, "member");
  expect(await refusal(put(boss, org, member, "owner"))).toBe("DR403 forbidden");
  expect(await refusal(put(boss, org, user, "member"))).toBe("DR403 forbidden");
  expect(await refusal(remove(boss, org, user))).toBe("DR403 forbidden");
  expect(await refusal(invite(db, boss, org, "owner"))).toBe("DR403 forbidden");
  expect(await refusal(put(member, org, boss, "member"))).toBe("DR403 forbidden");
  const stranger = await newUser(db);
  expect(await refusal(put(stranger, org, member, "admin"))).toBe("DR404 not-found");
  expect(await refusal(put(user, org, stranger, "member"))).toBe("DR404 not-found");
});

test("every change of a role grows the epoch by one, and a change to the same role does not", async () => {
  const { user, org } = await newTenant(db);
  const epoch = async () =>
    Number((await owner.bare("select authz_epoch from org where org_id = $1", [org]))[0]?.authz_epoch);
  const alone = await epoch();
  const member = await join(db, user, org, "member");
  const joined = await epoch();
  const up = await put(user, org, member, "admin");
  const same = await put(user, org, member, "admin");
  const down = await put(user, org, member, "member");
  const gone = await remove(user, org, member);
  const epochs = [up, same, down, gone].map(({ authz_epoch }) => Number(authz_epoch) - joined);
  expect([joined - alone, ...epochs]).toEqual([1, 1, 1, 2, 3]);
  expect(Number(down.revision)).toBe(Number(up.revision) + 1);
});

test("a member who is removed leaves his workspaces too, each with an event and a revision", async () => {
  const t = await newTenant(db);
  const member = await join(db, t.user, t.org, "member", { id: t.workspace, role: "editor" });
  const revision = async () =>
    (await db.one(t, "select revision from workspace where workspace_id = $1", [t.workspace])).revision;
  const before = Number(await revision());
  await remove(t.user, t.org, member);
  expect(await owner.bare("select 1 from workspace_member where user_id = $1", [member])).toEqual([]);
  expect(Number(await revision())).toBe(before + 1);
  expect((await actions(t.org)).slice(-2)).toEqual(["workspace_member.removed", "org_member.removed"]);
  const [seen] = await db.as({ ...t, user: member }, "select workspace_role($1) as role", [t.workspace]);
  expect(seen?.role).toBeNull();
});

test("the effective role: admins of the organisation are admins of its workspaces, other members need a row", async () => {
  const t = await newTenant(db);
  const boss = await join(db, t.user, t.org, "admin");
  const member = await join(db, t.user, t.org, "member");
  const role = async (user: string) =>
    (await db.one({ ...t, user }, "select workspace_role($1) as role", [t.workspace])).role;
  expect([await role(boss), await role(member), await role(uuid())]).toEqual(["admin", null, null]);
  await wsPut(t, member, "viewer");
  expect(await role(member)).toBe("viewer");
  expect(await refusal(wsPut(t, boss, "viewer", member))).toBe("DR403 forbidden");
  expect(await refusal(wsPut(t, await newUser(db), "viewer"))).toBe("DR409 not-an-org-member");
});

test("a member is added to a workspace while he is removed from the organisation: both never stand", async () => {
  for (let round = 0; round < 5; round += 1) {
    const t = await newTenant(db);
    const member = await join(db, t.user, t.org, "member");
    await Promise.allSettled([wsPut(t, member, "editor"), remove(t.user, t.org, member)]);
    const rows = await owner.bare(
      `select 1 from workspace_member w where w.user_id = $1
       and not exists (select 1 from org_member o where o.org_id = w.org_id and o.user_id = w.user_id)`,
      [member],
    );
    expect(rows).toEqual([]);
  }
});

test("an invitation is accepted once, by one, before it ends", async () => {
  const t = await newTenant(db);
  const digest = await invite(db, t.user, t.org, "member", { id: t.workspace, role: "viewer" });
  const guests = await Promise.all(Array.from({ length: 8 }, () => newUser(db)));
  const outcomes = await Promise.all(guests.map((guest) => refusal(accept(db, guest, digest))));
  expect(outcomes.filter((outcome) => outcome === "allowed").length).toBe(1);
  expect(new Set(outcomes)).toEqual(new Set(["allowed", "DR409 invitation-used"]));
  expect(await refusal(accept(db, t.user, `\\x${"00".repeat(32)}`))).toBe("DR404 invitation-not-found");
  const late = await invite(db, t.user, t.org, "member");
  await owner.bare("update invitation set expires_at = now() where token_digest = $1::bytea", [late]);
  expect(await refusal(accept(db, await newUser(db), late))).toBe("DR410 invitation-expired");
});

test("accepting again with the same request is the retry of a lost commit", async () => {
  const t = await newTenant(db);
  const digest = await invite(db, t.user, t.org, "admin");
  const guest = await newUser(db);
  const first = await accept(db, guest, digest, "req_same");
  expect(await accept(db, guest, digest, "req_same")).toEqual(first);
  expect(await refusal(accept(db, guest, digest, "req_other"))).toBe("DR409 invitation-used");
  expect(first.role).toBe("admin");
});

test("an invitation never lowers a role", async () => {
  const t = await newTenant(db);
  const digest = await invite(db, t.user, t.org, "member", { id: t.workspace, role: "viewer" });
  const accepted = await accept(db, t.user, digest);
  expect(accepted.role).toBe("owner");
  const [ws] = await db.as(t, "select role from workspace_member where user_id = $1", [t.user]);
  expect(ws?.role).toBe("admin");
});

test("every change of membership, role and plan leaves an event", async () => {
  const t = await newTenant(db);
  const { user, org, workspace } = t;
  const member = await join(db, user, org, "member", { id: workspace, role: "viewer" });
  await put(user, org, member, "admin");
  await wsPut(t, member, "editor");
  await db.as({ user, org }, "select org_set_plan($1, null, $2::uuid, 'team')", [request, org]);
  await db.as({ user, org }, "select org_update($1, null, $2::uuid, 'New')", [request, org]);
  await db.as(t, "select workspace_member_remove($1, null, $2::uuid, $3::uuid)", [
    request,
    workspace,
    member,
  ]);
  await db.as(t, "select project_delete($1, null, $2::uuid, $3::uuid)", [request, workspace, t.project]);
  await db.as(t, "select workspace_delete($1, null, $2::uuid)", [request, workspace]);
  await db.as({ user, org }, "select org_delete($1, null, $2::uuid)", [request, org]);
  expect(await actions(org)).toEqual([
    "org.created",
    "org_member.added",
    "workspace.created",
    "workspace_member.added",
    "project.created",
    "invitation.created",
    "org_member.added",
    "workspace_member.added",
    "invitation.accepted",
    "org_member.role_changed",
    "workspace_member.role_changed",
    "org.plan_changed",
    "org.updated",
    "workspace_member.removed",
    "project.deleted",
    "workspace.deleted",
    "org.deleted",
  ]);
});

test("a deleted organisation leaves nothing but its audit", async () => {
  const t = await newTenant(db);
  await newWorkspace(db, t.user, t.org);
  await invite(db, t.user, t.org, "member");
  const item = {
    id: 1,
    scope_type: "project",
    scope_id: typeId("prj", t.project),
    entity_type: "collection",
    entity_id: "c",
    op: "upsert",
    clock: {},
  };
  await db.as(t, "select sync_push($1::uuid, 'c', null, null, $2::json, '[{}]')", [
    t.workspace,
    JSON.stringify([item]),
  ]);
  await db.as(t, "select org_delete($1, null, $2::uuid)", [request, t.org]);
  const left = await owner.bare(
    `select (select count(*) from org where org_id = $1) + (select count(*) from workspace where org_id = $1)
          + (select count(*) from org_member where org_id = $1) + (select count(*) from invitation where org_id = $1)
          + (select count(*) from sync_client where workspace_id = $2) as rows`,
    [t.org, t.workspace],
  );
  expect(left[0]?.rows).toBe("0");
});

test("a member of a version that nobody has is not added", async () => {
  const t = await newTenant(db);
  const member = await join(db, t.user, t.org, "member");
  const put = db.one(t, "select * from workspace_member_put($1, '{1}', $2::uuid, $3::uuid, 'viewer')", [
    request,
    t.workspace,
    member,
  ]);
  expect(await refusal(put)).toBe("DR412 precondition-failed");
});

test("a new workspace answers its organisation's own epoch, which its gate compares with", async () => {
  const t = await newTenant(db);
  const known = async () =>
    (await db.one(t, "select revision, authz_epoch from org where org_id = $1", [t.org])) as object;
  const id = uuid();
  const create = () =>
    db.one(
      t,
      "select revision, authz_epoch from workspace_create(null, null, null, null, $1, $2::uuid, $3::uuid, 'W', $4)",
      [request, t.org, id, id],
    );
  expect(await create()).toEqual(await known());
  // The Worker's retry of a lost commit.
  expect(await create()).toEqual(await known());
});

test("changes of an organisation's people, and its end, name its newest 50 workspaces", async () => {
  const { user, org } = await newTenant(db);
  const member = await join(db, user, org, "member");
  for (let n = 0; n < 51; n += 1) await newWorkspace(db, user, org);
  const all = await owner.bare(
    "select workspace_id from workspace where org_id = $1 order by created_at desc, workspace_id desc",
    [org],
  );
  const newest = `{${all
    .slice(0, 50)
    .map(({ workspace_id }) => workspace_id)
    .join(",")}}`;
  const up = await put(user, org, member, "admin");
  const same = await put(user, org, member, "admin");
  const down = await put(user, org, member, "member");
  expect([up.workspace_ids, up.narrowed]).toEqual([newest, "f"]);
  expect([same.workspace_ids, same.narrowed]).toEqual(["{}", "f"]);
  expect([down.workspace_ids, down.narrowed]).toEqual([newest, "t"]);
  expect((await remove(user, org, member)).workspace_ids).toBe(newest);
  const end = await db.one({ user, org }, "select * from org_delete($1, null, $2::uuid)", [request, org]);
  expect(end.workspace_ids).toBe(newest);
});

test("an invitation is worth what its maker may give", async () => {
  const t = await newTenant(db);
  const maker = await join(db, t.user, t.org, "owner");
  const [asOwner, asAdmin] = [
    await invite(db, maker, t.org, "owner"),
    await invite(db, maker, t.org, "admin"),
  ];
  await put(t.user, t.org, maker, "admin");
  const guest = await newUser(db);
  expect(await refusal(accept(db, guest, asOwner))).toBe("DR410 invitation-expired");
  expect((await accept(db, guest, asAdmin)).role).toBe("admin");
  const late = await invite(db, maker, t.org, "member");
  await remove(t.user, t.org, maker);
  expect(await refusal(accept(db, await newUser(db), late))).toBe("DR410 invitation-expired");
});

test("an item of another version is not changed", async () => {
  const t = await newTenant(db);
  const rename = (version: string | null, name: string) =>
    db.one(t, "select * from project_update($1, $2::bigint[], $3::uuid, $4::uuid, $5, null, null)", [
      request,
      version,
      t.workspace,
      t.project,
      name,
    ]);
  const renamed = await rename("{7,1}", "Second");
  expect([renamed.version, renamed.name]).toEqual(["2", "Second"]);
  for (const stale of ["{1}", "{}", "{1,3}"]) {
    expect(await refusal(rename(stale, "Third"))).toBe("DR412 precondition-failed");
  }
  const same = await rename(null, "Second");
  expect([same.version, same.revision]).toEqual(["2", renamed.revision]);
});
