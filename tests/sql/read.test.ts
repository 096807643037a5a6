import { afterAll, beforeAll, expect, test } from "vitest";
import { app, type Database, typeId, uuid } from "./database.ts";
import { type Statement, statements } from "./statements.ts";
import { join, newTenant, newUser, type Tenant } from "./tenants.ts";

let db: Database;
let statement: Statement;

beforeAll(async () => {
  db = app();
  const found = (await statements()).find(({ name }) => name === "sync.read");
  if (!found) throw new Error("the store has no statement sync.read");
  statement = found;
}, 600_000);
afterAll(() => db.end());

interface Chunk {
  generation: string;
  epoch: string;
  floor: string;
  end: string;
  closed: boolean;
  text: string;
}

async function read(t: Tenant, after = 0, bytes = 1 << 20, scope = ["project", typeId("prj", t.project)]) {
  const [row] = await db.as(t, statement.sql, [t.workspace, ...scope, String(after), String(bytes)]);
  if (!row) return undefined;
  const { generation, epoch, floor, last, closed, messages } = row;
  return { generation, epoch, floor, end: last, closed: closed === "t", text: messages } as Chunk;
}

async function write(t: Tenant, client: string, values: string[], entity = (n: number) => `e${n}`) {
  const scope = { scope_type: "project", scope_id: typeId("prj", t.project) };
  const items = values.map((value, n) => ({
    id: n + 1,
    ...scope,
    entity_type: "request",
    entity_id: entity(n),
    op: value === "null" ? "delete" : "upsert",
    clock: {},
  }));
  const params = [t.workspace, client, JSON.stringify(items), `[${values.join(",")}]`];
  await db.as(t, "select sync_push($1::uuid, $2, null, null, $3::json, $4::json)", params);
}

const keys = (chunk: Chunk | undefined) =>
  (JSON.parse(chunk?.text ?? "[]") as { key: string }[]).map(({ key }) => key);

/** Clients parse these messages, and closed chunks of them sit in caches for a year. */
test("a message is as it has always been", async () => {
  const t = await newTenant(db);
  await write(t, "cli-1", ['{ "a" : 1 }', "null"], () => "r1");
  const chunk = await read(t);
  const text = chunk?.text
    .replaceAll(/"txid":"\d+"/g, '"txid":"T"')
    .replaceAll(/"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"/g, '"timestamp":"W"');
  const headers = (operation: string, n: number) =>
    `{"operation":"${operation}","txid":"T","timestamp":"W","client_id":"cli-1","mutation_id":${n},"version":${n}}`;
  expect(text).toBe(
    `[{"type":"request","key":"request/r1","value":{ "a" : 1 },"headers":${headers("insert", 1)}},` +
      `{"type":"request","key":"request/r1","headers":${headers("delete", 2)}}]`,
  );
  expect(chunk).toMatchObject({ generation: "1", epoch: "2", floor: "0", end: "2", closed: false });
});

test("chunks follow each other without a gap, and each but the last is closed and stays as it is", async () => {
  const t = await newTenant(db);
  await write(
    t,
    "a",
    Array.from({ length: 30 }, (_, n) => `{"pad":"${"x".repeat(n * 20)}"}`),
  );
  const walk = async () => {
    const chunks: Chunk[] = [];
    for (let after = 0; ; after = Number(chunks.at(-1)?.end)) {
      const chunk = await read(t, after, 2_000);
      if (!chunk) throw new Error("the stream ended in the middle");
      chunks.push(chunk);
      if (!chunk.closed) return chunks;
    }
  };
  const first = await walk();
  expect(first.flatMap(keys)).toEqual(Array.from({ length: 30 }, (_, n) => `request/e${n}`));
  for (const chunk of first) expect(Buffer.byteLength(chunk.text)).toBeLessThanOrEqual(2_000);
  await write(t, "b", ["{}"], () => "later");
  const second = await walk();
  const closed = (chunks: Chunk[]) => chunks.filter((chunk) => chunk.closed).map(({ text }) => text);
  expect(closed(second).slice(0, closed(first).length)).toEqual(closed(first));
  expect(second.flatMap(keys).at(-1)).toBe("request/later");
});

test("a message larger than the cap comes alone", async () => {
  const t = await newTenant(db);
  await write(t, "a", [`{"pad":"${"x".repeat(5_000)}"}`, "{}"]);
  const chunk = await read(t, 0, 1_000);
  expect([keys(chunk), chunk?.closed, chunk?.end]).toEqual([["request/e0"], true, "1"]);
  expect(keys(await read(t, 1, 1_000))).toEqual(["request/e1"]);
});

test("the tail is an empty open chunk", async () => {
  const t = await newTenant(db);
  await write(t, "a", ["{}"]);
  expect(await read(t, 1)).toMatchObject({ epoch: "1", end: "1", closed: false, text: "[]" });
});

test("a scope that was never written is an empty stream; one of nothing is none", async () => {
  const t = await newTenant(db);
  const empty = { generation: "1", epoch: "0", floor: "0", end: "0", closed: false, text: "[]" };
  expect(await read(t)).toEqual(empty);
  expect(await read(t, 0, 1000, ["workspace", typeId("ws", t.workspace)])).toEqual(empty);
  expect(await read(t, 0, 1000, ["user", typeId("user", t.user)])).toEqual(empty);
  for (const scope of [
    ["project", typeId("prj", uuid())],
    ["workspace", typeId("ws", uuid())],
    ["user", typeId("user", uuid())],
    ["collection", "absent"],
    ["nothing", "absent"],
  ]) {
    expect(await read(t, 0, 1000, scope), scope.join()).toBeUndefined();
  }
});

test("readers are members, and a user's own scope is nobody else's", async () => {
  const t = await newTenant(db);
  await write(t, "a", ["{}"]);
  const viewer = await join(db, t.user, t.org, "member", { id: t.workspace, role: "viewer" });
  expect(keys(await read({ ...t, user: viewer }))).toEqual(["request/e0"]);
  expect(await read({ ...t, user: await newUser(db) })).toBeUndefined();
  const own = [
    { id: 1, scope_type: "user", scope_id: typeId("user", viewer), entity_type: "x", entity_id: "x" },
  ];
  await db.as(t, "select workspace_member_put('r', null, $1::uuid, $2::uuid, 'editor')", [
    t.workspace,
    viewer,
  ]);
  const items = JSON.stringify(own.map((item) => ({ ...item, op: "upsert", clock: {} })));
  const push = "select results from sync_push($1::uuid, 'own', null, null, $2::json, '[{}]')";
  await db.as({ ...t, user: viewer }, push, [t.workspace, items]);
  const scope = ["user", typeId("user", viewer)];
  expect(keys(await read({ ...t, user: viewer }, 0, 1000, scope))).toEqual(["x/x"]);
  expect(await read(t, 0, 1000, scope)).toBeUndefined();
});
