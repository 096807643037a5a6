/**
 * The Neon stand-in on the wire: the shapes, statuses and oddities of Neon's own proxy.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Neon, startNeon } from "../../dev/neon.ts";
import { emptyDatabase, poll, type TestDatabase, world } from "../edge/world.ts";

let database: TestDatabase;
let neon: Neon;
let connection: string;

beforeAll(async () => {
  database = await emptyDatabase();
  const url = new URL(database.url);
  const server = { host: url.hostname, port: Number(url.port) };
  neon = await startNeon({ server, maxRequestBytes: 100_000, maxResponseBytes: 200_000 });
  url.host = "ep-test-pooler.local.localhost";
  url.port = "";
  connection = url.href;
  await query("create table item (id int primary key, name text unique)");
});

afterAll(async () => {
  await neon.close();
  await database.drop();
});

interface Sent {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: the body is what the test looks into
  body: any;
}

const RAW = { "neon-raw-text-output": "true", "neon-array-mode": "true" };

async function send(body: unknown, headers: Record<string, string> = {}): Promise<Sent> {
  const answer = await fetch(neon.sql, {
    method: "POST",
    headers: { "neon-connection-string": connection, ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: answer.status, headers: answer.headers, body: await answer.json() };
}

const query = (text: string, params: unknown[] = [], headers: Record<string, string> = {}) =>
  send({ query: text, params }, headers);

describe("results", () => {
  test("a single statement answers one object with its fields", async () => {
    const { status, headers, body } = await query("select 1 as one");
    expect(status).toBe(200);
    expect(headers.get("neon-request-id")).toBeTruthy();
    expect(body).toEqual({
      fields: [
        {
          name: "one",
          tableID: 0,
          columnID: 0,
          dataTypeID: 23,
          dataTypeSize: 4,
          dataTypeModifier: -1,
          format: "text",
        },
      ],
      rows: [{ one: 1 }],
      command: "SELECT",
      rowCount: 1,
      rowAsArray: false,
    });
  });

  test("raw text is what Postgres wrote, in arrays", async () => {
    const text = `select true, 123::int8, '{"a": 1}'::jsonb, '\\xdead'::bytea, null::text, '{1,2}'::int[],
      '2026-11-20T21:39:07.326361Z'::timestamptz`;
    const { body } = await query(text, [], RAW);
    const when = "2026-11-20 21:39:07.326361+00";
    expect(body.rows).toEqual([["t", "123", '{"a": 1}', "\\xdead", null, "{1,2}", when]]);
    expect(body.rowAsArray).toBe(true);
  });

  test("the default form cooks booleans, small numbers, JSON and arrays", async () => {
    const text = `select false as b, 7::int2 as i, 1.5::float8 as f, 'NaN'::float8 as n, 9007199254740993 as big,
      '{"a":[1]}'::jsonb as j, array[1,null,3] as ints, array['a,b','c"d',null] as texts, '{{1,2},{3,4}}'::int[] as deep`;
    const { body } = await query(text);
    expect(body.rows).toEqual([
      {
        b: false,
        i: 7,
        f: 1.5,
        n: "NaN",
        big: "9007199254740993",
        j: { a: [1] },
        ints: [1, null, 3],
        texts: ["a,b", 'c"d', null],
        deep: [
          [1, 2],
          [3, 4],
        ],
      },
    ]);
  });

  test("cooked empty arrays are as wrong as on Neon", async () => {
    expect((await query("select '{}'::text[] as a")).body.rows).toEqual([{ a: [""] }]);
    expect((await query("select '{}'::int[] as a")).status).toBe(500);
    expect((await query("select '{}'::int[] as a", [], RAW)).body.rows).toEqual([["{}"]]);
  });

  test("columns of one name collide unless rows are arrays", async () => {
    expect((await query("select 1 as a, 2 as a")).body.rows).toEqual([{ a: 2 }]);
    expect((await send({ query: "select 1 as a, 2 as a", arrayMode: true })).body.rows).toEqual([[1, 2]]);
  });

  test("a command without rows has its tag's first word", async () => {
    const made = await query("create table if not exists other (id int)");
    expect(made.body).toMatchObject({ command: "CREATE", rowCount: null, rows: [] });
    const inserted = await query("insert into item values (100, 'x') returning id");
    expect(inserted.body).toMatchObject({ command: "INSERT", rowCount: 1, rows: [{ id: 100 }] });
  });

  test("parameters are text: numbers lose digits, arrays become literals", async () => {
    const sent = `{"query":"select $1 as a, $2 as b, $3::text[] as c, $4 as d","params":[12345678901234567890123,true,["x","y z",null],{"k":1}]}`;
    const { body } = await send(sent, RAW);
    expect(body.rows).toEqual([["1.2345678901234568e+22", "true", '{x,"y z",NULL}', '{"k":1}']]);
    const array = await query("select $1::jsonb", [[1, 2]]);
    expect(array.body.code).toBe("22P02");
  });
});

describe("batches", () => {
  test("run in one transaction with the asked isolation, and say so in the answer", async () => {
    const modes = {
      "neon-batch-isolation-level": "Serializable",
      "neon-batch-read-only": "true",
      "neon-batch-deferrable": "true",
    };
    const names = ["transaction_isolation", "transaction_read_only", "transaction_deferrable"];
    const queries = names.map((name) => ({ query: `show ${name}` }));
    const { headers, body } = await send({ queries }, { ...modes, "neon-array-mode": "true" });
    expect(body.results.map((result: { rows: string[][] }) => result.rows[0]?.[0])).toEqual([
      "serializable",
      "on",
      "on",
    ]);
    for (const [name, value] of Object.entries(modes)) expect(headers.get(name)).toBe(value);
  });

  test("an unknown isolation level is refused", async () => {
    const { status, body } = await send({ queries: [] }, { "neon-batch-isolation-level": "serializable" });
    expect(status).toBe(400);
    expect(body.message).toBe("invalid isolation level");
  });

  test("a boolean header counts only as the literal true", async () => {
    const queries = [{ query: "show transaction_read_only", arrayMode: true }];
    const { body } = await send({ queries }, { "neon-batch-read-only": "True" });
    expect(body.results[0].rows).toEqual([["off"]]);
  });

  test("the first error rolls everything back", async () => {
    const queries = [
      { query: "insert into item values (1, 'a')" },
      { query: "insert into item values (1, 'b')" },
    ];
    const { status, body } = await send({ queries });
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: "23505", constraint: "item_pkey", table: "item", schema: "public" });
    expect((await query("select from item where id = 1")).body.rowCount).toBe(0);
  });

  test("nothing of a request reaches the next one on its connection", async () => {
    const local = { query: "select set_config('app.x', 'mine', true)" };
    await send({ queries: [local] });
    await query("select set_config('app.x', 'session', false)");
    await query("select pg_advisory_lock(7)");
    await query("begin");
    const look =
      "select nullif(current_setting('app.x', true), '') as x, (select count(*) from pg_locks where locktype = 'advisory' and objid = 7) as locks";
    expect((await query(look)).body.rows).toEqual([{ x: null, locks: "0" }]);
  });
});

describe("refusals", () => {
  test("a Postgres error has every field, absent ones null", async () => {
    const { status, body } = await query("selec 1");
    expect(status).toBe(400);
    expect(body).toMatchObject({
      code: "42601",
      severity: "ERROR",
      position: "1",
      detail: null,
      constraint: null,
    });
    expect(Object.keys(body)).toHaveLength(17);
  });

  test.each([
    ["two statements", "select 1; select 2", [], "42601"],
    ["a NUL character", "select $1", ["a\u0000b"], "22021"],
    ["too few parameters", "select $1::text", [], "08P01"],
    ["a missing table", "select * from nowhere", [], "42P01"],
  ])("%s", async (_what, text, params, code) => {
    const { status, body } = await query(text, params);
    expect(status).toBe(400);
    expect(body.code).toBe(code);
  });

  test.each([
    ["{", /^could not parse the HTTP request body/],
    [{ query: "select 1", params: null }, /did not match any variant/],
    [{ query: 1 }, /did not match any variant/],
    [{ queries: [{}] }, /did not match any variant/],
  ])("body %j", async (body, message) => {
    const refused = await send(body);
    expect(refused.status).toBe(400);
    expect(refused.body.message).toMatch(message);
  });

  test("an Authorization header is refused", async () => {
    const { status, body } = await query("select 1", [], { authorization: "Bearer x" });
    expect(status).toBe(400);
    expect(body.message).toBe("missing authentication credentials: required password");
  });

  test.each([
    ["mysql://u:p@h.local/d", "incorrect scheme"],
    ["postgres://u:p@127.0.0.1/d", "missing hostname"],
    ["postgres://u:p@[::1]/d", "missing hostname"],
    ["postgres://u:p@h.local/", "missing database name"],
    ["postgres://u@h.local/d", "missing authentication credentials: required password"],
    ["nonsense", /^invalid connection string/],
  ])("connection string %s", async (string, message) => {
    const { status, body } = await query("select 1", [], { "neon-connection-string": string });
    expect(status).toBe(400);
    expect(body).toMatchObject({
      message: message instanceof RegExp ? expect.stringMatching(message) : message,
      code: "",
    });
  });

  test("a wrong password is told without its SQLSTATE, a wrong database with it", async () => {
    const wrong = new URL(connection);
    wrong.password = "wrong";
    const refused = await query("select 1", [], { "neon-connection-string": wrong.href });
    expect(refused.status).toBe(400);
    expect(refused.body).toMatchObject({
      message: `password authentication failed for user "postgres"`,
      code: "",
    });
    const nowhere = new URL(connection);
    nowhere.pathname = "/nowhere";
    expect((await query("select 1", [], { "neon-connection-string": nowhere.href })).body.code).toBe("3D000");
  });

  test("a request over the limit is 413, an answer over it 507", async () => {
    const large = await query("select $1", ["x".repeat(100_001)]);
    expect(large.status).toBe(413);
    const answer = await query("select repeat('x', 200000)");
    expect(answer.status).toBe(507);
    expect(answer.body.message).toBe("response is too large (max is 200000 bytes)");
  });

  test.each([
    ["GET", "/sql"],
    ["POST", "/other"],
    ["POST", "/sql/more"],
  ])("%s %s is not supported", async (method, path) => {
    const answer = await fetch(neon.url + path, { method });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toBe("query is not supported");
  });

  test("OPTIONS answers the preflight", async () => {
    const answer = await fetch(neon.sql, { method: "OPTIONS" });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
  });

  test("a replica endpoint refuses writes with 25006", async () => {
    const replica = connection.replace("ep-test-pooler", "ep-test-replica-pooler");
    const headers = { "neon-connection-string": replica };
    expect((await query("select 1 as a", [], headers)).body.rows).toEqual([{ a: 1 }]);
    expect((await query("insert into item values (2, 'r')", [], headers)).body.code).toBe("25006");
  });

  test("a connection lost while a statement runs is a 400 with an empty code", async () => {
    const { status, body } = await query("select pg_terminate_backend(pg_backend_pid())");
    expect(status).toBe(400);
    expect(["", "57P01"]).toContain(body.code);
  });
});

test("a caller who goes away ends the statement and leaves no effect", async () => {
  const leave = new AbortController();
  const text = "insert into item select 300, 'gone' from pg_sleep(60)";
  const sent = fetch(neon.sql, {
    method: "POST",
    headers: { "neon-connection-string": connection },
    body: JSON.stringify({ queries: [{ query: text }] }),
    signal: leave.signal,
  });
  const running =
    "select from pg_stat_activity where query like 'insert into item select 300%' and state = 'active'";
  await poll("the statement to run", async () => (await query(running)).body.rowCount === 1);
  leave.abort();
  await expect(sent).rejects.toThrow();
  await poll("the statement to end", async () => (await query(running)).body.rowCount === 0);
  expect((await query("select from item where id = 300")).body.rowCount).toBe(0);
});

test("three hundred callers at once are all answered", async () => {
  const answers = await Promise.all(
    Array.from({ length: 300 }, (_, n) => query("select $1::int as n", [String(n)])),
  );
  expect(answers.map((answer) => answer.body.rows[0].n)).toEqual(answers.map((_, n) => n));
});

test("the shared world's connection string leads to the restricted role", async () => {
  const answer = await fetch(world().neonUrl, {
    method: "POST",
    headers: { "neon-connection-string": world().neonConnection },
    body: JSON.stringify({
      query: "select rolname, rolsuper, rolbypassrls from pg_roles where rolname = current_user",
    }),
  });
  const { rows } = (await answer.json()) as { rows: unknown[] };
  expect(rows).toEqual([{ rolname: "drey_app", rolsuper: false, rolbypassrls: false }]);
});
