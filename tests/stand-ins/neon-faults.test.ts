/**
 * Counters and faults of the Neon stand-in: what other tests rely on when they say "one round trip" or "lost answer".
 */
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { world } from "../edge/world.ts";

const table = `fault_${crypto.randomUUID().replaceAll("-", "")}`;
let client: pg.Client;

beforeAll(async () => {
  client = new pg.Client({ connectionString: world().databaseUrl });
  await client.connect();
  await client.query(`create table ${table} (id int)`);
  await client.query(`grant all on ${table} to drey_app`);
});

afterAll(async () => {
  await client.query(`drop table ${table}`);
  await client.end();
});

function send(...texts: string[]): Promise<Response> {
  return fetch(world().neonUrl, {
    method: "POST",
    headers: { "neon-connection-string": world().neonConnection },
    body: JSON.stringify({ queries: texts.map((query) => ({ query })) }),
  });
}

async function fault(body: object): Promise<Response> {
  return fetch(`${world().neonAdmin}/faults`, { method: "POST", body: JSON.stringify(body) });
}

async function rows(id: number): Promise<number> {
  const found = await client.query(`select from ${table} where id = $1`, [id]);
  return found.rowCount ?? 0;
}

test("requests and statements are counted by trace", async () => {
  const trace = crypto.randomUUID().replaceAll("-", "");
  const comment = `/*traceparent='00-${trace}-00f067aa0ba902b7-01'*/`;
  await send(`${comment} select 1`, "select 2");
  await send(`select 3 ${comment}`);
  const counted = await fetch(`${world().neonAdmin}/counters/${trace}`);
  expect(await counted.json()).toEqual({ requests: 2, statements: 3 });
  const unseen = await fetch(`${world().neonAdmin}/counters/${"0".repeat(32)}`);
  expect(await unseen.json()).toEqual({ requests: 0, statements: 0 });
  const all = (await (await fetch(`${world().neonAdmin}/counters`)).json()) as Record<string, object>;
  expect(all.traces).toMatchObject({ [trace]: { requests: 2, statements: 3 } });
});

test("a connection dropped before the commit leaves nothing", async () => {
  await fault({ kind: "drop_before_commit", match: `${table} values (1)` });
  await expect(send(`insert into ${table} values (1)`)).rejects.toThrow();
  expect(await rows(1)).toBe(0);
  expect((await send(`insert into ${table} values (1)`)).status).toBe(200);
  expect(await rows(1)).toBe(1);
});

test("a connection dropped after the commit leaves the work done", async () => {
  await fault({ kind: "drop_after_commit", match: `${table} values (2)` });
  await expect(send(`insert into ${table} values (2)`)).rejects.toThrow();
  expect(await rows(2)).toBe(1);
});

test("a 500 of the control plane runs nothing, as often as asked", async () => {
  await fault({ kind: "status500", match: `${table} values (3)`, times: 2 });
  for (const status of [500, 500, 200]) {
    const answer = await send(`insert into ${table} values (3)`);
    expect(answer.status).toBe(status);
    if (status === 500)
      expect(await answer.json()).toMatchObject({ message: "Control plane request failed", code: "" });
  }
  expect(await rows(3)).toBe(1);
});

test("latency delays the answer and nothing else", async () => {
  await fault({ kind: "latency", latency_ms: 200, match: `${table} values (4)` });
  const before = performance.now();
  expect((await send(`insert into ${table} values (4)`)).status).toBe(200);
  expect(performance.now() - before).toBeGreaterThanOrEqual(195);
});

test("faults are listed with how often they fired, and removed one by one", async () => {
  const made = (await (await fault({ kind: "latency", match: "never-sent", times: 5 })).json()) as {
    id: number;
  };
  const listed = async () => {
    const all = (await (await fetch(`${world().neonAdmin}/faults`)).json()) as { id: number }[];
    return all.find((one) => one.id === made.id);
  };
  expect(await listed()).toMatchObject({ kind: "latency", remaining: 5, fired: 0 });
  await fetch(`${world().neonAdmin}/faults/${made.id}`, { method: "DELETE" });
  expect(await listed()).toBeUndefined();
  expect((await fault({ kind: "nonsense" })).status).toBe(400);
});
