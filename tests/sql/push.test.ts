import { afterAll, beforeAll, expect, test } from "vitest";
import { admin, app, type Database, refusal, typeId, uuid } from "./database.ts";
import { join, newTenant, newUser, type Tenant } from "./tenants.ts";

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

interface Mutation {
  id: number;
  scope_type?: string;
  scope_id?: string;
  entity_type?: string;
  entity_id?: string;
  op?: "upsert" | "delete";
  base_version?: number | null;
  clock?: Record<string, number>;
  value?: string;
  reject_code?: string;
  reject_detail?: string;
}

interface Result {
  id: number;
  outcome: string;
  code?: string;
  original?: unknown;
}

interface Pushed {
  last: number;
  results: Result[];
  scopes: { type: string; id: string; generation: number; epoch: number }[];
}

async function push(
  t: Tenant,
  client: string,
  mutations: Mutation[],
  acked: number | null = null,
): Promise<Pushed> {
  const values = mutations.map(({ value, op }) => (op === "delete" ? "null" : (value ?? "{}")));
  const items = mutations.map(({ value: _value, ...rest }) => ({
    scope_type: "project",
    scope_id: typeId("prj", t.project),
    entity_type: "request",
    entity_id: "r",
    op: "upsert",
    clock: {},
    ...rest,
  }));
  const row = await db.one(t, "select * from sync_push($1::uuid, $2, null, $3::bigint, $4::json, $5::json)", [
    t.workspace,
    client,
    acked === null ? null : String(acked),
    JSON.stringify(items),
    `[${values.join(",")}]`,
  ]);
  return {
    last: Number(row.last_mutation_id),
    results: JSON.parse(row.results ?? ""),
    scopes: JSON.parse(row.scopes ?? ""),
  };
}

const outcomes = ({ results }: Pushed) => results.map(({ outcome }) => outcome);

test("a push is applied: epochs, log, state and outcome, in one call", async () => {
  const t = await newTenant(db);
  const pushed = await push(t, "a", [
    { id: 1, entity_id: "x" },
    { id: 2, entity_id: "y" },
    { id: 3, entity_id: "x", value: '{"b":2}' },
    { id: 4, entity_id: "y", op: "delete" },
  ]);
  expect(pushed).toEqual({
    last: 4,
    results: [1, 2, 3, 4].map((n) => ({ id: n, outcome: "applied", version: n, epoch: n })),
    scopes: [{ type: "project", id: typeId("prj", t.project), generation: 1, epoch: 4 }],
  });
  const log = await db.as(t, "select server_epoch, operation, value from sync_change order by server_epoch");
  expect(log).toEqual([
    { server_epoch: "1", operation: "insert", value: "{}" },
    { server_epoch: "2", operation: "insert", value: "{}" },
    { server_epoch: "3", operation: "update", value: '{"b":2}' },
    { server_epoch: "4", operation: "delete", value: null },
  ]);
  const state = await db.as(t, "select entity_id, version, value, deleted from sync_state order by 1");
  expect(state).toEqual([
    { entity_id: "x", version: "3", value: '{"b":2}', deleted: "f" },
    { entity_id: "y", version: "4", value: null, deleted: "t" },
  ]);
});

test("a value comes back byte for byte", async () => {
  const t = await newTenant(db);
  const values = [
    '{ "b" : 1.0,\t"a":[1,  2], "b":2 }',
    '{"nul":"\\u0000","lone":"\\ud800","pair":"\\ud83d\\ude00","raw":"é😀","esc":"\\/\\"\\\\"}',
    '{"big":123456789012345678901234567890.10e+5}',
  ];
  await push(
    t,
    "a",
    values.map((value, n) => ({ id: n + 1, entity_id: `e${n}`, value })),
  );
  const log = await db.as(t, "select value from sync_change order by server_epoch");
  expect(log.map(({ value }) => value)).toEqual(values);
  const stale = await owner.bare("select value from sync_state where workspace_id = $1 order by entity_id", [
    t.workspace,
  ]);
  expect(stale.map(({ value }) => value)).toEqual(values);
});

test("what was processed is answered as a duplicate with its outcome, until it is acknowledged", async () => {
  const t = await newTenant(db);
  const one = { id: 1, entity_id: "x" };
  await push(t, "a", [one]);
  const again = await push(t, "a", [one, { id: 2, entity_id: "y" }]);
  expect(again.results).toEqual([
    { id: 1, outcome: "duplicate", original: { outcome: "applied", version: 1, epoch: 1 } },
    { id: 2, outcome: "applied", version: 2, epoch: 2 },
  ]);
  const acked = await push(t, "a", [one], 1);
  expect(acked.results).toEqual([{ id: 1, outcome: "duplicate", original: null }]);
  expect(await db.as(t, "select mutation_id from sync_mutation")).toEqual([{ mutation_id: "2" }]);
  expect(await push(t, "a", [], 2)).toEqual({ last: 2, results: [], scopes: [] });
});

test("a gap is refused with the expected id, and nothing of it stays", async () => {
  const t = await newTenant(db);
  await push(t, "a", [{ id: 1 }]);
  for (const ids of [[3], [2, 4], [2, 2], [2, 3, 5]]) {
    const gap = push(
      t,
      "a",
      ids.map((id) => ({ id, base_version: 1 })),
    );
    await expect(gap, ids.join()).rejects.toMatchObject({
      code: "DR409",
      constraint: "mutation-gap",
      detail: "2",
    });
  }
  await expect(push(t, "fresh", [{ id: 2 }])).rejects.toMatchObject({ detail: "1" });
  expect(await db.as(t, "select 1 from sync_client where client_id = 'fresh'")).toEqual([]);
});

test("a client id belongs to one user, and pushing needs an editor", async () => {
  const t = await newTenant(db);
  await push(t, "a", [{ id: 1 }]);
  const editor = await join(db, t.user, t.org, "member", { id: t.workspace, role: "editor" });
  const viewer = await join(db, t.user, t.org, "member", { id: t.workspace, role: "viewer" });
  expect(await refusal(push({ ...t, user: editor }, "a", [{ id: 2, base_version: 1 }]))).toBe(
    "DR403 client-mismatch",
  );
  expect(await refusal(push({ ...t, user: viewer }, "v", [{ id: 1 }]))).toBe("DR403 forbidden");
  expect(await refusal(push({ ...t, user: await newUser(db) }, "n", [{ id: 1 }]))).toBe("DR404 not-found");
});

test("one stale base and nothing is written: stale with what stands and what it was made from", async () => {
  const t = await newTenant(db);
  await push(t, "a", [{ id: 1, entity_id: "x", value: '{"by":"a"}', clock: { a: 1 } }]);
  await push(t, "b", [
    { id: 1, entity_id: "x", base_version: 1, value: '{"by":"b"}', clock: { a: 1, b: 1 } },
  ]);
  const stale = await push(t, "a", [
    { id: 1, entity_id: "x" },
    { id: 2, entity_id: "x", base_version: 1 },
    { id: 3, entity_id: "new", entity_type: "collection" },
    { id: 4, entity_id: "n", scope_type: "collection", scope_id: "new" },
  ]);
  expect(stale).toEqual({
    last: 1,
    results: [
      { id: 1, outcome: "duplicate", original: { outcome: "applied", version: 1, epoch: 1 } },
      {
        id: 2,
        outcome: "stale",
        version: 2,
        value: { by: "b" },
        clock: { a: 1, b: 1 },
        deleted: false,
        client_id: "b",
        mutation_id: 1,
        base: { by: "a" },
        base_known: true,
        forgotten: [],
      },
      { id: 3, outcome: "current" },
      { id: 4, outcome: "current" },
    ],
    scopes: expect.arrayContaining([
      { type: "project", id: typeId("prj", t.project), generation: 1, epoch: 2 },
    ]),
  });
  expect(await db.as(t, "select 1 from collection")).toEqual([]);
  expect((await db.as(t, "select scope_type from sync_scope")).length).toBe(1);
  const again = await push(t, "a", [{ id: 2, entity_id: "x", base_version: 2 }]);
  expect(again.results).toEqual([{ id: 2, outcome: "applied", version: 3, epoch: 3 }]);
});

test("a base since which only this client has written is current", async () => {
  const t = await newTenant(db);
  await push(t, "a", [{ id: 1 }, { id: 2 }, { id: 3 }]);
  expect(outcomes(await push(t, "a", [{ id: 4, base_version: 1 }]))).toEqual(["applied"]);
  expect(outcomes(await push(t, "b", [{ id: 1, base_version: 3 }]))).toEqual(["stale"]);
  expect(outcomes(await push(t, "b", [{ id: 1, base_version: 4 }]))).toEqual(["applied"]);
  expect(outcomes(await push(t, "b", [{ id: 2, base_version: 4 }]))).toEqual(["applied"]);
  // Version 4 is a's: whoever has not seen it is stale, though b has written since.
  expect(outcomes(await push(t, "b", [{ id: 3, base_version: 3 }]))).toEqual(["stale"]);
  expect(outcomes(await push(t, "a", [{ id: 5, base_version: 4 }]))).toEqual(["stale"]);
  expect(outcomes(await push(t, "a", [{ id: 5, base_version: 6 }]))).toEqual(["applied"]);
  const [state] = await db.as(t, "select version, foreign_version from sync_state");
  expect(state).toEqual({ version: "7", foreign_version: "6" });
});

test("a base of an entity that is not there is stale at version 0", async () => {
  const t = await newTenant(db);
  const { results } = await push(t, "a", [{ id: 1, base_version: 7 }]);
  const nothing = { client_id: null, mutation_id: null, base: null, base_known: false, forgotten: [] };
  expect(results).toEqual([
    { id: 1, outcome: "stale", version: 0, value: null, clock: {}, deleted: true, ...nothing },
  ]);
});

test("rejections are recorded and do not stop the rest", async () => {
  const t = await newTenant(db);
  const pushed = await push(t, "a", [
    { id: 1, reject_code: "secret-value", reject_detail: "no" },
    { id: 2, scope_type: "project", scope_id: typeId("prj", uuid()) },
    { id: 3, scope_type: "collection", scope_id: "absent" },
    { id: 4, scope_type: "user", scope_id: typeId("user", uuid()) },
    { id: 5, scope_type: "workspace", scope_id: typeId("ws", uuid()) },
    { id: 6, scope_type: "project", scope_id: "garbage" },
    { id: 7, entity_id: "good" },
  ]);
  expect(pushed.results.map(({ code, outcome }) => code ?? outcome)).toEqual([
    "secret-value",
    ...Array(5).fill("unknown-scope"),
    "applied",
  ]);
  expect(pushed.last).toBe(7);
  const again = await push(t, "a", [{ id: 1 }]);
  expect(again.results[0]?.original).toEqual({ outcome: "rejected", code: "secret-value", detail: "no" });
});

test("the scope of a collection exists from the push that brings the collection", async () => {
  const t = await newTenant(db);
  const pushed = await push(t, "a", [
    { id: 1, entity_type: "collection", entity_id: "c" },
    { id: 2, scope_type: "collection", scope_id: "c" },
    {
      id: 3,
      scope_type: "workspace",
      scope_id: typeId("ws", t.workspace),
      entity_type: "environment",
      entity_id: "e",
    },
    { id: 4, scope_type: "environment", scope_id: "e", entity_type: "variable" },
    { id: 5, scope_type: "user", scope_id: typeId("user", t.user) },
    { id: 6, scope_type: "collection", scope_id: "c", entity_type: "collection", entity_id: "inner" },
    { id: 7, scope_type: "collection", scope_id: "inner" },
  ]);
  expect(outcomes(pushed)).toEqual([...Array(6).fill("applied"), "rejected"]);
  expect(pushed.scopes.map(({ type, epoch }) => `${type} ${epoch}`)).toEqual([
    "collection 2",
    "environment 1",
    "project 1",
    "user 1",
    "workspace 1",
  ]);
});

test("20 pushers at once on one scope: epochs gapless and unique, nothing lost", async () => {
  const t = await newTenant(db);
  const rounds = 5;
  await Promise.all(
    Array.from({ length: 20 }, async (_, client) => {
      for (let round = 0; round < rounds; round += 1) {
        const ids = [1, 2, 3].map((n) => round * 3 + n);
        const pushed = await push(
          t,
          `c${client}`,
          ids.map((id) => ({ id, entity_id: `c${client}_${id}` })),
        );
        expect(outcomes(pushed)).toEqual(["applied", "applied", "applied"]);
      }
    }),
  );
  const log = await db.as(
    t,
    "select server_epoch, client_id, mutation_id from sync_change order by server_epoch",
  );
  expect(log.map(({ server_epoch }) => Number(server_epoch))).toEqual(
    Array.from({ length: 20 * rounds * 3 }, (_, n) => n + 1),
  );
  expect(new Set(log.map(({ client_id, mutation_id }) => `${client_id} ${mutation_id}`)).size).toBe(
    log.length,
  );
  const [scope] = await db.as(t, "select epoch from sync_scope");
  expect(scope?.epoch).toBe(String(log.length));
});

test("pushers over the same scopes in opposite orders do not deadlock", async () => {
  const t = await newTenant(db);
  const scopes = [
    { scope_type: "project", scope_id: typeId("prj", t.project) },
    { scope_type: "workspace", scope_id: typeId("ws", t.workspace) },
    { scope_type: "user", scope_id: typeId("user", t.user) },
  ];
  const pushed = await Promise.all(
    Array.from({ length: 20 }, (_, n) => {
      const order = n % 2 ? scopes : scopes.toReversed();
      const things = order.map((scope, k) => ({ id: k + 1, ...scope, entity_id: `e${n}` }));
      const collections = [0, 1, 2].map((k) => ({
        id: 4 + k,
        ...(order[0] ?? {}),
        entity_type: "collection",
        entity_id: `c${n % 2 ? k : 2 - k}_${n >> 2}`,
        reject_code: order[0]?.scope_type === "user" ? "not-here" : undefined,
      }));
      return push(t, `c${n}`, [...things, ...(JSON.parse(JSON.stringify(collections)) as Mutation[])]);
    }),
  );
  for (const { results } of pushed) expect(results.length).toBe(6);
});

/** Outcomes outlive a deploy: tomorrow's Worker hands them out as the `original` of a duplicate. */
test("the stored outcomes are as they have always been", async () => {
  const t = await newTenant(db);
  await push(t, "a", [{ id: 1 }, { id: 2, reject_code: "c", reject_detail: "d" }]);
  const stored = await db.as(t, "select outcome from sync_mutation order by mutation_id");
  expect(stored.map(({ outcome }) => outcome)).toEqual([
    '{"epoch": 1, "outcome": "applied", "version": 1}',
    '{"code": "c", "detail": "d", "outcome": "rejected"}',
  ]);
});
