/** Rounds 2 and 3 of a push: what they write, what they keep, what they refuse. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { app, type Database, refusal, request, typeId, uuid } from "./database.ts";
import { diverged, type Item, round } from "./rounds.ts";
import { join, newTenant } from "./tenants.ts";

let db: Database;

beforeAll(() => {
  db = app();
});
afterAll(() => db.end());

test("round 2 writes decisions: merged with its bytes, diverged beside what stands, applied", async () => {
  const t = await newTenant(db);
  const entities = ["m", "d", "n"].map((entity_id) => ({ entity_id }));
  await round(
    db,
    t,
    "a",
    entities.map((entity, n) => ({ id: n + 1, ...entity, value: '{"v": 1}' })),
  );
  await round(
    db,
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
  const { results, epoch } = await round(db, t, "a", decided);
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
  const again = await round(db, t, "a", decided);
  expect(again.results.map(({ outcome, original }) => [outcome, original])).toEqual(
    results.map(({ id: _, ...original }) => ["duplicate", original]),
  );
});

test("round 2 writes nothing if anything has moved, and round 3 keeps what has moved beside it", async () => {
  const t = await newTenant(db);
  await round(db, t, "a", [{ id: 1, value: '{"v": 1}' }]);
  await round(db, t, "b", [{ id: 1, base_version: 1, value: '{"v": 2}' }]);
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
  await round(db, t, "c", [{ id: 1, base_version: 2, value: '{"v": 3}' }]);
  const second = await round(db, t, "a", decided);
  expect([second.stale, second.epoch]).toEqual([true, 3]);
  expect(second.results).toMatchObject([
    { id: 2, outcome: "current" },
    { id: 3, outcome: "stale", version: 3, client_id: "c", base: { v: 1 } },
    { id: 4, outcome: "stale", version: 3 },
  ]);
  const third = await round(db, t, "a", decided, { elseDiverge: true });
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
      db,
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
  await round(db, t, "b", [{ id: 1 }]);
  const { results } = await round(db, t, "a", [
    { id: 1, entity_id: "x", clock: { a: 1, b: 2 } },
    { id: 2, entity_id: "y", clock: { a: 2, b: 1 } },
    { id: 3, entity_id: "z", clock: { a: 3, nobody: 99 } },
  ]);
  expect(results.map(({ outcome, code }) => code ?? outcome)).toEqual([
    "invalid-clock",
    "applied",
    "applied",
  ]);
  const stale = await round(db, t, "a", [{ id: 4, base_version: null, clock: { a: 4, nobody: 9 } }]);
  expect(stale.results).toMatchObject([{ outcome: "stale", forgotten: ["nobody"] }]);
});

test("a forged mutation does not vouch for the next one of its entity", async () => {
  const t = await newTenant(db);
  await round(db, t, "b", [{ id: 1 }]);
  const { results, stale } = await round(db, t, "a", [
    { id: 1, base_version: 1, clock: { a: 1, b: 7 } },
    { id: 2, base_version: null },
  ]);
  expect([stale, ...results.map(({ outcome }) => outcome)]).toEqual([true, "rejected", "stale"]);
});

test("a client that was away too long begins again, and a session is asked for by name", async () => {
  const t = await newTenant(db);
  await round(db, t, "a", [{ id: 1 }]);
  const late = round(db, t, "a", [{ id: 2, base_version: 1 }], { retention: { clients: 0 } });
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
    refusal(round(db, t, client, [], { session: id, retention }));
  expect(await named("a", session)).toBe("allowed");
  expect(await refusal(round(db, t, "a", []))).toBe("DR409 session-expired");
  expect(await refusal(round(db, t, "a", [], { retention: { sessions: 0 } }))).toBe("allowed");
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
    db,
    t,
    "a",
    ids.map((n) => ({ ...at(n), value: big })),
  );
  await round(
    db,
    t,
    "b",
    ids.map((n) => ({ ...at(n), base_version: n, value: big })),
  );
  const { results } = await round(
    db,
    t,
    "a",
    ids.map((n) => ({ ...at(n), id: n + 12, base_version: n })),
  );
  const told = results.map(({ outcome }) => outcome);
  expect(told).toEqual([...Array(8).fill("stale"), ...Array(4).fill("retry")]);
});

test("a duplicate that names another's scope is told nothing of it", async () => {
  const t = await newTenant(db);
  const own = { scope_type: "user", scope_id: typeId("user", t.user) };
  const spy = await join(db, t.user, t.org, "member", { id: t.workspace, role: "editor" });
  await round(
    db,
    t,
    "victim",
    [1, 2, 3].map((id) => ({ id, ...own, entity_id: `s${id}`, value: '{"private": 1}' })),
  );
  await round(db, t, "other", [{ id: 1 }]);
  const merged = { id: 1, base_version: 1, expect_version: 1, decision: "merge", value: "{}", mine: "{}" };
  expect((await round(db, { ...t, user: spy }, "spy", [merged])).results[0]?.outcome).toBe("merged");
  const { results } = await round(db, { ...t, user: spy }, "spy", [{ id: 1, ...own }]);
  expect(JSON.stringify(results)).not.toContain("private");
});

test("what is older than the retention is removed when the next one comes", async () => {
  const t = await newTenant(db);
  await diverged(db, t);
  const again = { id: 3, base_version: 1, expect_version: 2, decision: "diverge", value: '{"v": 9}' };
  await round(db, t, "a", [again], { retention: { divergences: 0 } });
  const kept = await db.as(t, "select mine from sync_divergence");
  expect(kept).toEqual([{ mine: '{"v": 9}' }]);
});

const LARGE = 256 * 1024;
const ANSWER = 5 * 1024 * 1024;

test("the states of one call are told up to 4 MiB together, and each outcome all the same, again too", async () => {
  const t = await newTenant(db);
  await round(db, t, "a", [{ id: 1, value: `{"a":"${"x".repeat(LARGE - 8)}"}` }]);
  const late = (n: number) => ({
    id: n + 1,
    base_version: 0,
    expect_version: 1,
    decision: "diverge",
    value: `{"n":${n}}`,
  });
  const mutations = Array.from({ length: 40 }, (_, n) => late(n));
  const first = await round(db, t, "b", mutations);
  expect(first.results.map(({ id, outcome, version }) => [id, outcome, version])).toEqual(
    mutations.map(({ id }) => [id, "diverged", 1]),
  );
  const isTold = first.results.map((result) => "value" in result);
  expect(isTold).toEqual(mutations.map((_, n) => n < 16));
  expect(JSON.stringify(first.results).length).toBeLessThan(ANSWER);
  const again = await round(db, t, "b", mutations);
  expect(again.results).toEqual(
    first.results.map(({ id, ...original }) => ({ id, outcome: "duplicate", original })),
  );
  const stale = await round(db, t, "b", [...mutations, { id: 41, base_version: 0 }]);
  expect([stale.stale, stale.results.length]).toEqual([true, 41]);
  expect(JSON.stringify(stale.results).length).toBeLessThan(ANSWER);
});

test("the outcomes of a forgotten client go when another one begins, and its id stays taken", async () => {
  const t = await newTenant(db);
  await round(db, t, "gone", [{ id: 1 }, { id: 2, base_version: 1 }]);
  await round(db, t, "here", [{ id: 1, entity_id: "other" }]);
  await db.as(t, "update sync_client set seen_at = now() - interval '91 days' where client_id = 'gone'");
  await round(db, t, "new", [{ id: 1, entity_id: "third" }]);
  const kept = await db.as(t, "select client_id from sync_mutation order by 1");
  expect(kept).toEqual([{ client_id: "here" }, { client_id: "new" }]);
  expect(await refusal(round(db, t, "gone", [{ id: 3, base_version: 2 }]))).toBe("DR409 client-expired");
});

/** Outcomes outlive a deploy: tomorrow's Worker hands them out as the `original` of a duplicate. */
test("the stored outcomes of decisions are as they have always been", async () => {
  const t = await newTenant(db);
  const id = await diverged(db, t);
  const merge = { id: 3, base_version: 1, expect_version: 2, decision: "merge", value: "{}", mine: "{}" };
  await round(db, t, "a", [merge]);
  const stored = await db.as(
    t,
    "select outcome from sync_mutation where client_id = 'a' order by mutation_id",
  );
  expect(stored.slice(1).map(({ outcome }) => outcome)).toEqual([
    `{"epoch": 2, "outcome": "diverged", "version": 2, "divergence_id": "${id}"}`,
    '{"epoch": 3, "outcome": "merged", "version": 3}',
  ]);
});
