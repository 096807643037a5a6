/**
 * The official Neon driver against the stand-in: what it accepts from us it gets from Neon.
 */
import { NeonDbError, type NeonQueryFunction, neon, neonConfig } from "@neondatabase/serverless";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase, type TestDatabase, world } from "../edge/world.ts";

let database: TestDatabase;
let owner: NeonQueryFunction<false, false>;
let app: NeonQueryFunction<false, false>;

/** The driver reads the endpoint from the host, so it must be a name. */
function named(url: string): string {
  const parsed = new URL(url);
  parsed.hostname = "ep-clients.local.localhost";
  parsed.port = "";
  return parsed.href;
}

beforeAll(async () => {
  neonConfig.fetchEndpoint = world().neonUrl;
  database = await emptyDatabase();
  owner = neon(named(database.url));
  app = neon(named(database.appUrl));
  await owner`create table note (id int primary key, workspace_id uuid not null, body jsonb)`;
  await owner`alter table note enable row level security`;
  await owner`alter table note force row level security`;
  await owner`create policy tenant on note
    using (workspace_id = nullif(current_setting('app.workspace_id', true), '')::uuid)
    with check (workspace_id = nullif(current_setting('app.workspace_id', true), '')::uuid)`;
  await owner`grant select, insert, update, delete on note to drey_app`;
});
afterAll(() => database.drop());

describe("queries", () => {
  test("rows arrive with the driver's own types", async () => {
    const rows = await owner`select ${1}::int as i, ${"x"} as t, true as b, '{"a":1}'::jsonb as j,
      ${["p", "q"]}::text[] as a, '2026-11-20T00:00:00Z'::timestamptz as d, 9007199254740993 as big`;
    expect(rows).toEqual([
      {
        i: 1,
        t: "x",
        b: true,
        j: { a: 1 },
        a: ["p", "q"],
        d: new Date("2026-11-20T00:00:00Z"),
        big: "9007199254740993",
      },
    ]);
  });

  test("full results and array mode", async () => {
    const full = neon(named(database.url), { fullResults: true, arrayMode: true });
    const result = await full`select 1 as a, 2 as a`;
    expect(result.rows).toEqual([[1, 2]]);
    expect(result.fields.map((field) => field.dataTypeID)).toEqual([23, 23]);
    expect(result).toMatchObject({ command: "SELECT", rowCount: 1, rowAsArray: true });
  });
});

describe("transactions", () => {
  test("run whole, with their isolation", async () => {
    const shown = await owner.transaction(
      [owner`show transaction_isolation`, owner`show transaction_read_only`],
      {
        isolationLevel: "RepeatableRead",
        readOnly: true,
      },
    );
    expect(shown).toEqual([
      [{ transaction_isolation: "repeatable read" }],
      [{ transaction_read_only: "on" }],
    ]);
  });

  test("leave nothing after an error", async () => {
    const space = crypto.randomUUID();
    const insert = () => owner`insert into note values (50, ${space})`;
    await expect(owner.transaction([insert(), insert()])).rejects.toThrow(NeonDbError);
    expect(await owner`select id from note where id = 50`).toEqual([]);
  });
});

describe("errors", () => {
  test("carry Postgres' fields", async () => {
    const error = await owner`select * from nowhere`.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(NeonDbError);
    expect(error).toMatchObject({
      code: "42P01",
      severity: "ERROR",
      message: 'relation "nowhere" does not exist',
    });
  });

  test("a wrong password is a NeonDbError too", async () => {
    const wrong = new URL(named(database.url));
    wrong.password = "wrong";
    await expect(neon(wrong.href)`select 1`).rejects.toThrow(/password authentication failed/);
  });

  test("a 500 is reported with its text", async () => {
    const marker = crypto.randomUUID();
    const body = JSON.stringify({ kind: "status500", match: marker });
    await fetch(`${world().neonAdmin}/faults`, { method: "POST", body });
    await expect(owner`select ${marker}, 1`.then(() => owner.query(`select '${marker}'`))).rejects.toThrow(
      /Control plane request failed/,
    );
  });
});

describe("row level security in one call", () => {
  const as = (space: string) => app`select set_config('app.workspace_id', ${space}, true)`;

  test("a batch that begins with its settings sees and writes its own tenant", async () => {
    const [mine, other] = [crypto.randomUUID(), crypto.randomUUID()];
    await app.transaction([as(mine), app`insert into note values (1, ${mine}, '{"n": 1}')`]);
    const [, seen] = await app.transaction([as(mine), app`select id, body from note`]);
    expect(seen).toEqual([{ id: 1, body: { n: 1 } }]);
    const [, foreign] = await app.transaction([as(other), app`select id from note`]);
    expect(foreign).toEqual([]);
  });

  test("a call without settings sees nothing, also on a connection that had them", async () => {
    await app.transaction([as(crypto.randomUUID()), app`select 1`]);
    expect(await app`select id from note`).toEqual([]);
  });

  test("a write for another tenant is refused", async () => {
    const write = app.transaction([
      as(crypto.randomUUID()),
      app`insert into note values (9, ${crypto.randomUUID()})`,
    ]);
    await expect(write).rejects.toMatchObject({ code: "42501" });
  });
});
