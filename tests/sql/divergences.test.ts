/** Who may see and resolve what was kept beside what stands, and that it happens once. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { app, type Database, refusal, typeId, uuid } from "./database.ts";
import { diverged, round } from "./rounds.ts";
import { join, newProject, newTenant, type Tenant } from "./tenants.ts";

let db: Database;

beforeAll(() => {
  db = app();
});
afterAll(() => db.end());

interface Resolved {
  answer: string | null;
  take: string | null;
  version: string | null;
  resolved_by: string | null;
  replayed: string | null;
}

async function resolve(
  t: Tenant,
  divergence: string,
  take: string,
  {
    value = null as string | null,
    version = null as string | null,
    by = uuid(),
    key = null as string | null,
  } = {},
): Promise<Resolved> {
  const row = await db.one(
    t,
    `select * from sync_resolve('POST', '/r', $1, '\\x01'::bytea, $2, $3::uuid, typeid_uuid('div', $4), $5, $6::json,
                                $7::bigint, 7776000000)`,
    [key, by, t.workspace, divergence, take, value, version],
  );
  return row as unknown as Resolved;
}

test.each([
  ["mine", null, '{"by": "late"}'],
  ["theirs", null, '{"by": "b"}'],
  ["value", '{"by": "us"}', '{"by": "us"}'],
])("taking %s is a mutation in the log", async (take, value, expected) => {
  const t = await newTenant(db);
  const id = await diverged(db, t);
  expect(await resolve(t, id, take, { value })).toMatchObject({ answer: "resolved", take, version: "3" });
  const log = await db.as(
    t,
    "select operation, value, client_id, mutation_id, clock from sync_change where server_epoch = 3",
  );
  expect(log).toMatchObject([{ operation: "update", value: expected, client_id: id, mutation_id: "1" }]);
  expect(JSON.parse(log[0]?.clock ?? "")).toEqual({ a: 2, b: 1, [id]: 1 });
  const events = await db.as(t, "select detail from audit_event where action = 'divergence.resolved'");
  expect(events.map(({ detail }) => JSON.parse(detail ?? ""))).toEqual([{ take, version: 3 }]);
});

test("of two resolvers one wins, the other is told who; the winner's own repetition is told the same", async () => {
  const t = await newTenant(db);
  const other = await join(db, t.user, t.org, "member", { id: t.workspace, role: "editor" });
  const id = await diverged(db, t);
  const by = uuid();
  const answers = await Promise.all([
    resolve(t, id, "mine", { by }),
    ...Array.from({ length: 9 }, () => resolve({ ...t, user: other }, id, "theirs")),
  ]);
  const winners = answers.filter(({ answer }) => answer === "resolved");
  expect(winners).toHaveLength(1);
  for (const lost of answers.filter(({ answer }) => answer !== "resolved")) {
    expect(lost).toMatchObject({
      answer: "lost",
      take: winners[0]?.take,
      resolved_by: winners[0]?.resolved_by,
    });
  }
  expect(await db.as(t, "select max(epoch) as epoch from sync_scope")).toEqual([{ epoch: "3" }]);
  const repeated = await resolve(t, id, "mine", { by });
  expect(repeated.answer).toBe(winners[0]?.take === "mine" ? "resolved" : "lost");
});

test("what was written since is not overwritten by a choice that has not seen it", async () => {
  const t = await newTenant(db);
  const id = await diverged(db, t);
  await round(db, t, "b", [{ id: 2, base_version: 2, value: '{"by": "b again"}' }]);
  expect(await resolve(t, id, "mine")).toMatchObject({ answer: "moved", version: "3" });
  expect(await resolve(t, id, "mine", { version: "2" })).toMatchObject({ answer: "moved", version: "3" });
  expect(await resolve(t, id, "mine", { version: "3" })).toMatchObject({ answer: "resolved", version: "4" });
});

test("an entity that somebody deleted comes back, or stays deleted, by choice", async () => {
  const t = await newTenant(db);
  await round(db, t, "a", [{ id: 1 }]);
  await round(db, t, "b", [{ id: 1, base_version: 1, op: "delete" }]);
  const late = { id: 2, base_version: 1, value: '{"v": 2}', expect_version: 2, decision: "diverge" };
  const { results } = await round(db, t, "a", [late]);
  expect(results).toMatchObject([{ outcome: "diverged", deleted: true, value: null }]);
  await resolve(t, results[0]?.divergence_id ?? "", "mine");
  const log = await db.as(t, "select operation from sync_change order by server_epoch");
  expect(log.map(({ operation }) => operation)).toEqual(["insert", "delete", "insert"]);
});

test("another tenant, a viewer and a key of another project neither see nor resolve it", async () => {
  const t = await newTenant(db);
  const id = await diverged(db, t);
  const stranger = await newTenant(db);
  const see = (caller: Parameters<Database["as"]>[0]) => db.as(caller, "select 1 from sync_divergence");
  expect(await see(t)).toHaveLength(1);
  expect(await see(stranger)).toEqual([]);
  expect(await refusal(resolve(stranger, id, "mine"))).toBe("DR404 not-found");
  expect(await refusal(resolve({ ...stranger, workspace: t.workspace }, id, "mine"))).toBe("DR404 not-found");
  const viewer = await join(db, t.user, t.org, "member", { id: t.workspace, role: "viewer" });
  expect(await refusal(resolve({ ...t, user: viewer }, id, "mine"))).toBe("DR403 forbidden");
  const elsewhere = await newProject(db, t);
  expect(await see({ ...t, key: uuid(), project: elsewhere })).toEqual([]);
  expect(await see({ ...t, key: uuid(), project: t.project })).toHaveLength(1);
});

test("a divergence in a user's own scope is his alone", async () => {
  const t = await newTenant(db);
  const own = { scope_type: "user", scope_id: typeId("user", t.user) };
  await round(db, t, "a", [{ id: 1, ...own }]);
  await round(db, t, "b", [{ id: 1, ...own, base_version: 1 }]);
  const { results } = await round(db, t, "a", [
    { id: 2, ...own, base_version: 1, expect_version: 2, decision: "diverge" },
  ]);
  const admin = await join(db, t.user, t.org, "admin");
  expect(await db.as(t, "select 1 from sync_divergence")).toHaveLength(1);
  expect(await db.as({ ...t, user: admin }, "select 1 from sync_divergence")).toEqual([]);
  const theirs = resolve({ ...t, user: admin }, results[0]?.divergence_id ?? "", "mine");
  expect(await refusal(theirs)).toBe("DR404 not-found");
});
