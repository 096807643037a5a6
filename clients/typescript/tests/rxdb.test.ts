/** RxDB on top of the client: two databases that write the same documents come to hold the same. */
import {
  createRxDatabase,
  defaultConflictHandler,
  type RxCollection,
  type RxConflictHandler,
  type RxDatabase,
  type RxJsonSchema,
  type WithDeleted,
} from "rxdb";
import { getRxStorageMemory } from "rxdb/plugins/storage-memory";
import { afterEach, expect, onTestFailed, test } from "vitest";
import { home, type OwnedWorkspace, unique } from "../../../tests/edge/actors.ts";
import { sql, uuidOf } from "../../../tests/edge/database.ts";
import { neonFault } from "../../../tests/edge/neighbours.ts";
import { catchUp, workspaceScope } from "../../../tests/edge/pushes.ts";
import { randomOf } from "../../../tests/edge/random.ts";
import { poll } from "../../../tests/edge/world.ts";
import type { Client, Outcome } from "../src/index.ts";
import { shapeOf } from "../src/rxdb/documents.ts";
import { replicateScope } from "../src/rxdb/index.ts";
import { pushRows } from "../src/rxdb/push.ts";
import { clientOf, network, next } from "./place.ts";

interface Request {
  id: string;
  name?: string;
  method?: string;
  drey_version?: number;
}

const SCHEMA: RxJsonSchema<Request> = {
  version: 0,
  primaryKey: "id",
  type: "object",
  properties: {
    id: { type: "string", maxLength: 64 },
    name: { type: "string" },
    method: { type: "string" },
    drey_version: { type: "number" },
  },
  required: ["id"],
};

interface Side {
  database: RxDatabase;
  requests: RxCollection<Request>;
  replication: ReturnType<typeof replicateScope<Request>>;
  client: Client;
  wire: ReturnType<typeof network>;
}

const opened: Side[] = [];

afterEach(async () => {
  for (const { database, client } of opened.splice(0)) {
    await database.close();
    client.close();
  }
});

async function side(place: OwnedWorkspace, conflictHandler?: RxConflictHandler<Request>): Promise<Side> {
  const wire = network();
  const client = clientOf(place, { fetch: wire.fetch });
  await client.start();
  const storage = getRxStorageMemory();
  const database = await createRxDatabase({ name: unique("db"), storage, multiInstance: false });
  const handler = conflictHandler ? { conflictHandler } : {};
  const { requests } = await database.addCollections({ requests: { schema: SCHEMA, ...handler } });
  const collection = requests as RxCollection<Request>;
  const replication = replicateScope({
    client,
    collection,
    scope: workspaceScope(place) as { type: "workspace"; id: string },
    entityType: "request",
    retryTime: 50,
  });
  const one = { database, requests: collection, replication, client, wire };
  opened.push(one);
  await replication.awaitInitialReplication();
  return one;
}

async function documents({ requests }: Side): Promise<Record<string, unknown>> {
  const found = await requests.find().exec();
  return Object.fromEntries(
    found.map((document) => {
      const { id, drey_version: _, ...value } = document.toJSON();
      return [id, value];
    }),
  );
}

async function edit({ requests }: Side, id: string, change: Partial<Request>): Promise<void> {
  await (await requests.findOne(id).exec(true)).incrementalPatch(change);
}

/** What plain reading of the log comes to. */
async function truth(place: OwnedWorkspace): Promise<Record<string, unknown>> {
  const state = new Map<string, unknown>();
  for (const { key, value } of await catchUp(place.owner, place, workspaceScope(place))) {
    const id = key.slice("request/".length);
    if (value) state.set(id, value);
    else state.delete(id);
  }
  return Object.fromEntries(state);
}

/** Waits until all hold what the server holds. */
async function converge(place: OwnedWorkspace, ...sides: Side[]): Promise<Record<string, unknown>> {
  return poll(
    "the databases to hold what the server holds",
    async () => {
      if (sides.some(({ client }) => client.state.pending > 0)) return undefined;
      const expected = await truth(place);
      const held = await Promise.all(sides.map(documents));
      const sorted = (value: Record<string, unknown>) =>
        JSON.stringify(Object.entries(value).sort(), (_, member) =>
          member?.constructor === Object ? Object.entries(member).sort() : member,
        );
      return held.every((one) => sorted(one) === sorted(expected)) && expected;
    },
    20_000,
  );
}

test("documents of one database come to the other, changed and deleted too", async () => {
  const place = await home();
  const [one, other] = [await side(place), await side(place)];
  await one.requests.bulkInsert([{ id: "a", name: "A" }, { id: "b", name: "B" }, { id: "c" }]);
  expect(await converge(place, one, other)).toEqual({ a: { name: "A" }, b: { name: "B" }, c: {} });
  await edit(other, "a", { name: "AA" });
  await (await other.requests.findOne("b").exec(true)).remove();
  await poll("them", async () => JSON.stringify(await documents(one)) === '{"a":{"name":"AA"},"c":{}}');
  await edit(one, "a", { name: "AAA" });
  await edit(one, "a", { name: "AAAA" });
  expect(await converge(place, one, other)).toEqual({ a: { name: "AAAA" }, c: {} });
  expect(one.client.state.open_divergences).toBe(0);
});

test("two offline edits of one field: the server's stands on both sides, and the other is kept as a divergence", async () => {
  const place = await home();
  const [one, other] = [await side(place), await side(place)];
  await one.requests.insert({ id: "a", name: "base", method: "GET" });
  await converge(place, one, other);
  for (const { wire } of [one, other]) wire.isDown = true;
  await edit(one, "a", { name: "one" });
  await edit(other, "a", { name: "other" });
  one.wire.isDown = false;
  await poll(
    "the first",
    async () => (await truth(place)).a && JSON.stringify((await truth(place)).a).includes("one"),
  );
  const met = next(other.client, "divergence");
  other.wire.isDown = false;
  expect(await met).toMatchObject({ value: { name: "other" }, outcome: { value: { name: "one" } } });
  expect(await converge(place, one, other)).toEqual({ a: { name: "one", method: "GET" } });
  const [divergence] = await Array.fromAsync(other.client.divergences.list());
  const resolved = await one.client.divergences.resolve(String(divergence?.id), { take: "mine" });
  expect(resolved.outcome).toBe("resolved");
  expect(await converge(place, one, other)).toEqual({ a: { name: "other", method: "GET" } });
});

test("two offline edits of different fields merge on both sides", async () => {
  const place = await home();
  const [one, other] = [await side(place), await side(place)];
  await one.requests.insert({ id: "a", name: "base", method: "GET" });
  await converge(place, one, other);
  for (const { wire } of [one, other]) wire.isDown = true;
  await edit(one, "a", { name: "one" });
  await edit(other, "a", { method: "POST" });
  for (const { wire } of [one, other]) wire.isDown = false;
  await poll(
    "the merge",
    async () => JSON.stringify(await truth(place)) === '{"a":{"name":"one","method":"POST"}}',
  );
  expect(await converge(place, one, other)).toEqual({ a: { name: "one", method: "POST" } });
});

test("a conflict handler of the application's own decides, and its decision is pushed", async () => {
  const place = await home();
  const both: RxConflictHandler<Request> = {
    isEqual: defaultConflictHandler.isEqual,
    resolve: async ({ newDocumentState: mine, realMasterState: theirs }) => ({
      ...theirs,
      name: [mine.name, theirs.name].sort().join("+"),
    }),
  };
  const [one, other] = [await side(place, both), await side(place, both)];
  await one.requests.insert({ id: "a", name: "base" });
  await converge(place, one, other);
  for (const { wire } of [one, other]) wire.isDown = true;
  await edit(one, "a", { name: "x" });
  await edit(other, "a", { name: "y" });
  for (const { wire } of [one, other]) wire.isDown = false;
  await poll("the decision", async () => JSON.stringify(await truth(place)).includes("x+y"));
  expect(await converge(place, one, other)).toEqual({ a: { name: "x+y" } });
});

test("a push whose answer is lost is there once", async () => {
  const place = await home();
  const one = await side(place);
  await neonFault({ kind: "drop_after_commit", match: one.wire.traceId, times: 6 });
  await one.requests.insert({ id: "a", name: "A" });
  await converge(place, one);
  expect(await catchUp(place.owner, place, workspaceScope(place))).toHaveLength(1);
});

test.each([false, true])(
  "a push that RxDB repeats after its outcome is there once (deleted: %s)",
  async (_deleted) => {
    const place = await home();
    const { client, requests } = await side(place);
    const parts = { client, scope: { type: "workspace" as const, id: place.id }, entityType: "request" };
    const shape = shapeOf(requests, "drey_version");
    const push = (row: WithDeleted<Request>) => pushRows([{ newDocumentState: row }], { ...parts, shape });
    const rows = [{ id: "a", name: "A", _deleted: false }, ...(_deleted ? [{ id: "a", _deleted }] : [])];
    for (const row of rows) expect(await push(row)).toEqual([]);
    expect(await push(rows.at(-1) as WithDeleted<Request>)).toEqual([]);
    expect(await catchUp(place.owner, place, workspaceScope(place))).toHaveLength(rows.length);
  },
);

test("who edits back to what he once wrote has that pushed", async () => {
  const place = await home();
  const [one, two] = [await side(place), await side(place)];
  await one.requests.insert({ id: "a", name: "A" });
  await converge(place, one, two);
  await edit(two, "a", { name: "B" });
  expect(await converge(place, one, two)).toEqual({ a: { name: "B" } });
  await edit(one, "a", { name: "A" });
  expect(await converge(place, one, two)).toEqual({ a: { name: "A" } });
});

test("a log that is another one now is read again, and what is not in it goes", async () => {
  const place = await home();
  const one = await side(place);
  await one.requests.bulkInsert([
    { id: "a", name: "A" },
    { id: "b", name: "B" },
  ]);
  await converge(place, one);
  await poll(
    "the versions",
    async () => (await one.requests.findOne("b").exec(true)).get("drey_version") > 0,
  );
  const ws = uuidOf(place.id);
  await sql("delete from sync_change where workspace_id = $1 and entity_id = 'b'", [ws]);
  await sql("delete from sync_state where workspace_id = $1 and entity_id = 'b'", [ws]);
  await sql("update sync_scope set generation = generation + 1 where workspace_id = $1", [ws]);
  one.replication.reSync();
  expect(await converge(place, one)).toEqual({ a: { name: "A" } });
});

test("random edits of two databases that come and go converge", async () => {
  const place = await home();
  const seed = Number(process.env.DREY_CLIENT_SEED ?? Date.now() % 1_000_000_007);
  onTestFailed(() => console.error(`DREY_CLIENT_SEED=${seed}`));
  const random = randomOf(seed);
  const sides = [await side(place), await side(place)];
  for (let step = 0; step < 60; step += 1) {
    const at = sides[random(2)] as Side;
    const id = `r${random(4)}`;
    const found = await at.requests.findOne(id).exec();
    const act = random(8);
    if (act === 0) at.wire.isDown = !at.wire.isDown;
    else if (!found) await at.requests.upsert({ id, name: unique("n"), method: "GET" });
    else if (act === 1) await found.incrementalRemove();
    else await found.incrementalPatch(random(2) ? { name: unique("n") } : { method: unique("m") });
  }
  for (const { wire } of sides) wire.isDown = false;
  await converge(place, ...sides);
}, 60_000);

test("a merge whose value the server does not tell any more deletes nothing here", async () => {
  const write = (outcome: Outcome) => ({
    client: { write: async () => ({ ref: "r", outcome: Promise.resolve(outcome) }) } as unknown as Client,
    scope: { type: "workspace" as const, id: "w" },
    entityType: "request",
    shape: { primary: "id", version: "drey_version" },
  });
  const rows = [{ newDocumentState: { id: "a", n: 1, _deleted: false } }];
  const merged = { outcome: "merged" as const, version: 2 };
  expect(await pushRows(rows, write(merged))).toEqual([]);
  expect(await pushRows(rows, write({ ...merged, value: { n: 2 } }))).toEqual([
    { id: "a", n: 2, drey_version: 2, _deleted: false },
  ]);
});
