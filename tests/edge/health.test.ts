/** `/healthz` and `/readyz`: alive, and ready to serve. */
import { readdirSync } from "node:fs";
import pg from "pg";
import { expect, test } from "vitest";
import { call, expectProblem, expectStatus } from "./actors.ts";
import { emptyDatabase, freshDatabase, world } from "./world.ts";

test("healthz is alive without credential, without limit and without Postgres", async () => {
  const answer = expectStatus(await call<Record<string, unknown>>(null, "GET", "/healthz"), 200);
  expect(answer.headers.get("content-type")).toBe("application/json");
  expect(answer.headers.get("cache-control")).toBe("no-store");
  expect(answer.headers.get("ratelimit")).toBeNull();
  expect(answer.headers.get("x-ratelimit-limit")).toBeNull();
});

test("readyz is ready on a migrated database and names nothing missing", async () => {
  const answer = expectStatus(await call<Record<string, unknown>>(null, "GET", "/readyz"), 200);
  expect(answer.body).toEqual({ status: "ok", checks: ["database", "migrations", "indexes", "role"] });
  expect(answer.headers.get("cache-control")).toBe("no-store");
});

test("readyz without the migrations is 503 and names each that is missing", async () => {
  await using database = await emptyDatabase();
  const connection = new URL(world().neonConnection);
  connection.pathname = new URL(database.url).pathname;
  await using cell = await world().restart({ NEON_CONNECTION_STRING: connection.href });
  const answer = await call(null, "GET", `${cell.api}/readyz`);
  const problem = expectProblem(answer, 503, "upstream-unavailable");
  const files = readdirSync(new URL("../../migrations", import.meta.url)).filter((name) =>
    name.endsWith(".sql"),
  );
  for (const file of files) {
    expect(JSON.stringify(problem.errors)).toContain(file.split("_")[0]);
  }
  expectStatus(await call(null, "GET", `${cell.api}/healthz`), 200);
});

test("readyz names the index that is missing", async () => {
  await using database = await freshDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query("drop index audit_event_list_idx").finally(() => client.end());
  const connection = new URL(world().neonConnection);
  connection.pathname = new URL(database.url).pathname;
  await using cell = await world().restart({ NEON_CONNECTION_STRING: connection.href });
  const problem = expectProblem(await call(null, "GET", `${cell.api}/readyz`), 503, "upstream-unavailable");
  expect(problem.errors).toEqual([{ pointer: "index/audit_event_list_idx", detail: expect.any(String) }]);
});

test("HEAD answers like GET without a body", async () => {
  const head = expectStatus(await call(null, "HEAD", "/healthz"), 200);
  expect(head.text).toBe("");
  expect(head.headers.get("content-type")).toBe("application/json");
});
