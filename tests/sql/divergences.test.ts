/** Rounds 2 and 3 of a push, what they keep, and who may resolve it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { app, type Database, refusal, request, typeId, uuid } from "./database.ts";
import { join, newProject, newTenant, type Tenant } from "./tenants.ts";

let db: Database;

beforeAll(() => {
  db = app();
});
afterAll(() => db.end());

interface Item {
  id: number;
  value?: string;
  mine?: string;
  [field: string]: unknown;
}

interface Pushed {
  results: {
    id: number;
    outcome: string;
    code?: string;
    divergence_id?: string;
    [field: string]: unknown;
  }[];
  stale: boolean;
  epoch: number | undefined;
}

const scopeOf = (t: Tenant) => ({ scope_type: "project", scope_id: typeId("prj", t.project) });

/** One round; the client's clock names the mutation alone unless the item has another. */
async function round(
  t: Tenant,
  client: string,
  items: Item[],
  { elseDiverge = false, session = null as string | null, retention = {} as Record<string, number> } = {},
): Promise<Pushed> {
  const rest = items.map(({ value: _value, mine: _mine, ...item }) => ({
    ...scopeOf(t),
    entity_type: "request",
    entity_id: "r",
    op: "upsert",
    clock: { [client]: item.id },
    ...item,
  }));
  const { clients = 7_776_000_000, sessions = 86_400_000, divergences = 7_776_000_000 } = retention;
  const row = await db.one(
    t,
    `select * from sync_push($1::uuid, $2, $3::uuid, null, $4::json, $5::json, $6::json, $7::boolean,
                             $8::bigint, $9::bigint, $10::bigint)`,
    [
      t.workspace,
      client,
      session,
      JSON.stringify(rest),
      `[${items.map(({ value, op }) => (op === "delete" ? "null" : (value ?? "{}"))).join(",")}]`,
      `[${items.map(({ mine }) => mine ?? "null").join(",")}]`,
      String(elseDiverge),
      String(clients),
      String(sessions),
      String(divergences),
    ],
  );
  return {
    results: JSON.parse(row.results ?? ""),
    stale: row.is_stale === "t",
    epoch: JSON.parse(row.scopes ?? "")[0]?.epoch,
  };
}

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

/** `a` writes, `b` writes over it, `a` is late: one divergence at version 2. */
async function diverged(t: Tenant): Promise<string> {
  await round(t, "a", [{ id: 1, value: '{"by": "a"}' }]);
  await round(t, "b", [{ id: 1, base_version: 1, value: '{"by": "b"}' }]);
  const late = { id: 2, base_version: 1, value: '{"by": "late"}', expect_version: 2, decision: "diverge" };
  const { results } = await round(t, "a", [late]);
  expect(results).toMatchObject([
    { id: 2, outcome: "diverged", version: 2, value: { by: "b" }, deleted: false },
  ]);
  return results[0]?.divergence_id ?? "";
}

test("round 2 writes decisions: merged with its bytes, diverged beside what stands, applied", async () => {
  const t = await newTenant(db);
  const entities = ["m", "d", "n"].map((entity_id) => ({ entity_id }));
  await round(
    t,
    "a",
    entities.map((entity, n) => ({ id: n + 1, ...entity, value: '{"v": 1}' })),
  );
  await round(
    t,
    "b",
    entities.map((entity, n) => ({ id: n + 1, ...entity, base_version: n + 1, value: '{"v": 2}' })),
  );
  const decided = [
    {
      id: 4,
      entity_id: "m",
      base_version: 1,
      expect_version: 4,
      decision: "merge",
      value: '{ "v": 2,"m":1}',
      mine: '{"m":1}',
    },
    { id: 5, entity_id: "d", base_version: 2, expect_version: 5, decision: "diverge", value: '{"v": 3}' },
    { id: 6, entity_id: "n", base_version: 3, expect_version: 6, decision: "apply", value: '{"v": 4}' },
  ];
  const { results, epoch } = await round(t, "a", decided);
  const divergence = expect.stringMatching(/^div_[0-9a-z]{26}$/);
  expect(results).toEqual([
    { id: 4, outcome: "merged", version: 7, epoch: 7, deleted: false, value: { v: 2, m: 1 } },
    {
      id: 5,
      outcome: "diverged",
      version: 5,
      epoch: 5,
      deleted: false,
      value: { v: 2 },
      divergence_id: divergence,
    },
    { id: 6, outcome: "applied", version: 8, epoch: 8 },
  ]);
  expect(epoch).toBe(8);
  const log = await db.as(t, "select value from sync_change where server_epoch > 6 order by server_epoch");
  expect(log.map(({ value }) => value)).toEqual(['{ "v": 2,"m":1}', '{"v": 4}']);
  const kept = await db.as(
    t,
    `select base, mine, theirs, version, mine_client_id, mine_mutation_id, theirs_client_id, theirs_mutation_id,
            mine_clock, theirs_clock from sync_divergence`,
  );
  expect(kept).toEqual([
    {
      base: '{"v": 1}',
      mine: '{"v": 3}',
      theirs: '{"v": 2}',
      version: "5",
      mine_client_id: "a",
      mine_mutation_id: "5",
      theirs_client_id: "b",
      theirs_mutation_id: "2",
      mine_clock: '{"a": 5}',
      theirs_clock: '{"b": 2}',
    },
  ]);
  const again = await round(t, "a", decided);
  expect(again.results.map(({ outcome, original }) => [outcome, original])).toEqual(
    results.map(({ id: _, ...original }) => ["duplicate", original]),
  );
});

test("round 2 writes nothing if anything has moved, and round 3 keeps what has moved beside it", async () => {
  const t = await newTenant(db);
  await round(t, "a", [{ id: 1, value: '{"v": 1}' }]);
  await round(t, "b", [{ id: 1, base_version: 1, value: '{"v": 2}' }]);
  const decided: Item[] = [
    { id: 2, entity_id: "other" },
    {
      id: 3,
      base_version: 1,
      expect_version: 2,
      decision: "merge",
      value: '{"v": 2, "m": 1}',
      mine: '{"v": 1, "m": 1}',
      clock: { a: 3, b: 1 },
      mine_clock: { a: 3 },
    },
    { id: 4, base_version: 1, op: "delete", expect_version: 2, decision: "apply" },
  ];
  await round(t, "c", [{ id: 1, base_version: 2, value: '{"v": 3}' }]);
  const second = await round(t, "a", decided);
  expect([second.stale, second.epoch]).toEqual([true, 3]);
  expect(second.results).toMatchObject([
    { id: 2, outcome: "current" },
    { id: 3, outcome: "stale", version: 3, client_id: "c", base: { v: 1 } },
    { id: 4, outcome: "stale", version: 3 },
  ]);
  const third = await round(t, "a", decided, { elseDiverge: true });
  expect(third.results).toMatchObject([
    { id: 2, outcome: "applied", version: 4 },
    { id: 3, outcome: "diverged", version: 3, value: { v: 3 } },
    { id: 4, outcome: "diverged", version: 3, value: { v: 3 } },
  ]);
  // What the client sent is kept, not what was to be written in its place.
  const kept = await db.as(
    t,
    "select mine, theirs, mine_clock from sync_divergence order by mine_mutation_id",
  );
  expect(kept).toEqual([
    { mine: '{"v": 1, "m": 1}', theirs: '{"v": 3}', mine_clock: '{"a": 3}' },
    { mine: null, theirs: '{"v": 3}', mine_clock: '{"a": 4}' },
  ]);
  expect(await db.as(t, "select value from sync_state where entity_id = 'r'")).toEqual([
    { value: '{"v": 3}' },
  ]);
});

test("twenty clients on one entity in round 3: each write is in the log or beside it, and the epoch has no gap", async () => {
  const t = await newTenant(db);
  const push = (n: number) =>
    round(
      t,
      `c${n}`,
      [
        { id: 1, value: `{"by": ${n}}` },
        { id: 2, entity_id: `e${n}` },
      ],
      { elseDiverge: true },
    );
  const pushed = await Promise.all(Array.from({ length: 20 }, (_, n) => push(n)));
  const first = pushed.map(({ results }) => results[0]?.outcome);
  expect(first.filter((outcome) => outcome === "applied")).toHaveLength(1);
  expect(first.filter((outcome) => outcome === "diverged")).toHaveLength(19);
  const log = await db.as(t, "select server_epoch from sync_change order by 1");
  expect(log.map(({ server_epoch }) => Number(server_epoch))).toEqual(
    Array.from({ length: 21 }, (_, n) => n + 1),
  );
  const [named] = await db.as(
    t,
    `select count(*) as n from sync_divergence d join sync_change c on c.client_id = d.theirs_client_id
       and c.mutation_id = d.theirs_mutation_id and c.server_epoch = d.version`,
  );
  expect(named).toEqual({ n: "19" });
});

test("a clock that has seen what has not happened is rejected, a forgotten client is none", async () => {
  const t = await newTenant(db);
  await round(t, "b", [{ id: 1 }]);
  const { results } = await round(t, "a", [
    { id: 1, entity_id: "x", clock: { a: 1, b: 2 } },
    { id: 2, entity_id: "y", clock: { a: 2, b: 1 } },
    { id: 3, entity_id: "z", clock: { a: 3, nobody: 99 } },
  ]);
  expect(results.map(({ outcome, code }) => code ?? outcome)).toEqual([
    "invalid-clock",
    "applied",
    "applied",
  ]);
  const stale = await round(t, "a", [{ id: 4, base_version: null, clock: { a: 4, nobody: 9 } }]);
  expect(stale.results).toMatchObject([{ outcome: "stale", forgotten: ["nobody"] }]);
});

test("a forged mutation does not vouch for the next one of its entity", async () => {
  const t = await newTenant(db);
  await round(t, "b", [{ id: 1 }]);
  const { results, stale } = await round(t, "a", [
    { id: 1, base_version: 1, clock: { a: 1, b: 7 } },
    { id: 2, base_version: null },
  ]);
  expect([stale, ...results.map(({ outcome }) => outcome)]).toEqual([true, "rejected", "stale"]);
});

test("a client that was away too long begins again, and a session is asked for by name", async () => {
  const t = await newTenant(db);
  await round(t, "a", [{ id: 1 }]);
  const late = round(t, "a", [{ id: 2, base_version: 1 }], { retention: { clients: 0 } });
  expect(await refusal(late)).toBe("DR409 client-expired");
  const session = uuid();
  const open = (client: string, id: string) =>
    db.one(
      t,
      `select session_id from sync_session_open(null, null, null, null, $1, $2::uuid, $3::uuid, $4, 'Tab', 'merge,live',
                                                '[]', 7776000000, 86400000)`,
      [request, t.workspace, id, client],
    );
  await open("a", session);
  const named = (client: string, id: string, retention = {}) =>
    refusal(round(t, client, [], { session: id, retention }));
  expect(await named("a", session)).toBe("allowed");
  expect(await named("b", session)).toBe("DR409 session-expired");
  expect(await named("a", uuid())).toBe("DR409 session-expired");
  expect(await named("a", session, { sessions: 0 })).toBe("DR409 session-expired");
  const next = uuid();
  await open("a", next);
  expect(await named("a", session)).toBe("DR409 session-expired");
  expect(await named("a", next)).toBe("allowed");
});

test("states above 4 MiB together are told up to the first that does not fit", async () => {
  const t = await newTenant(db);
  const big = JSON.stringify({ filler: "x".repeat(250_000) });
  const ids = Array.from({ length: 12 }, (_, n) => n + 1);
  const at = (n: number) => ({ id: n, entity_id: `e${n}` });
  await round(
    t,
    "a",
    ids.map((n) => ({ ...at(n), value: big })),
  );
  await round(
    t,
    "b",
    ids.map((n) => ({ ...at(n), base_version: n, value: big })),
  );
  const { results } = await round(
    t,
    "a",
    ids.map((n) => ({ ...at(n), id: n + 12, base_version: n })),
  );
  const told = results.map(({ outcome }) => outcome);
  expect(told).toEqual([...Array(8).fill("stale"), ...Array(4).fill("retry")]);
});

test.each([
  ["mine", null, '{"by": "late"}'],
  ["theirs", null, '{"by": "b"}'],
  ["value", '{"by": "us"}', '{"by": "us"}'],
])("taking %s is a mutation in the log", async (take, value, expected) => {
  const t = await newTenant(db);
  const id = await diverged(t);
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
  const id = await diverged(t);
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
  const id = await diverged(t);
  await round(t, "b", [{ id: 2, base_version: 2, value: '{"by": "b again"}' }]);
  expect(await resolve(t, id, "mine")).toMatchObject({ answer: "moved", version: "3" });
  expect(await resolve(t, id, "mine", { version: "2" })).toMatchObject({ answer: "moved", version: "3" });
  expect(await resolve(t, id, "mine", { version: "3" })).toMatchObject({ answer: "resolved", version: "4" });
});

test("an entity that somebody deleted comes back, or stays deleted, by choice", async () => {
  const t = await newTenant(db);
  await round(t, "a", [{ id: 1 }]);
  await round(t, "b", [{ id: 1, base_version: 1, op: "delete" }]);
  const late = { id: 2, base_version: 1, value: '{"v": 2}', expect_version: 2, decision: "diverge" };
  const { results } = await round(t, "a", [late]);
  expect(results).toMatchObject([{ outcome: "diverged", deleted: true, value: null }]);
  await resolve(t, results[0]?.divergence_id ?? "", "mine");
  const log = await db.as(t, "select operation from sync_change order by server_epoch");
  expect(log.map(({ operation }) => operation)).toEqual(["insert", "delete", "insert"]);
});

test("another tenant, a viewer and a key of another project neither see nor resolve it", async () => {
  const t = await newTenant(db);
  const id = await diverged(t);
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
  await round(t, "a", [{ id: 1, ...own }]);
  await round(t, "b", [{ id: 1, ...own, base_version: 1 }]);
  const { results } = await round(t, "a", [
    { id: 2, ...own, base_version: 1, expect_version: 2, decision: "diverge" },
  ]);
  const admin = await join(db, t.user, t.org, "admin");
  expect(await db.as(t, "select 1 from sync_divergence")).toHaveLength(1);
  expect(await db.as({ ...t, user: admin }, "select 1 from sync_divergence")).toEqual([]);
  const theirs = resolve({ ...t, user: admin }, results[0]?.divergence_id ?? "", "mine");
  expect(await refusal(theirs)).toBe("DR404 not-found");
});

test("a duplicate that names another's scope is told nothing of it", async () => {
  const t = await newTenant(db);
  const own = { scope_type: "user", scope_id: typeId("user", t.user) };
  const spy = await join(db, t.user, t.org, "member", { id: t.workspace, role: "editor" });
  await round(
    t,
    "victim",
    [1, 2, 3].map((id) => ({ id, ...own, entity_id: `s${id}`, value: '{"private": 1}' })),
  );
  await round(t, "other", [{ id: 1 }]);
  const merged = { id: 1, base_version: 1, expect_version: 1, decision: "merge", value: "{}", mine: "{}" };
  expect((await round({ ...t, user: spy }, "spy", [merged])).results[0]?.outcome).toBe("merged");
  const { results } = await round({ ...t, user: spy }, "spy", [{ id: 1, ...own }]);
  expect(JSON.stringify(results)).not.toContain("private");
});

test("what is older than the retention is removed when the next one comes", async () => {
  const t = await newTenant(db);
  await diverged(t);
  const again = { id: 3, base_version: 1, expect_version: 2, decision: "diverge", value: '{"v": 9}' };
  await round(t, "a", [again], { retention: { divergences: 0 } });
  const kept = await db.as(t, "select mine from sync_divergence");
  expect(kept).toEqual([{ mine: '{"v": 9}' }]);
});

/** Outcomes outlive a deploy: tomorrow's Worker hands them out as the `original` of a duplicate. */
test("the stored outcomes of decisions are as they have always been", async () => {
  const t = await newTenant(db);
  const id = await diverged(t);
  const merge = { id: 3, base_version: 1, expect_version: 2, decision: "merge", value: "{}", mine: "{}" };
  await round(t, "a", [merge]);
  const stored = await db.as(
    t,
    "select outcome from sync_mutation where client_id = 'a' order by mutation_id",
  );
  expect(stored.slice(1).map(({ outcome }) => outcome)).toEqual([
    `{"epoch": 2, "outcome": "diverged", "version": 2, "divergence_id": "${id}"}`,
    '{"epoch": 3, "outcome": "merged", "version": 3}',
  ]);
});
