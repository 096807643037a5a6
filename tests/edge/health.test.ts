/** `/healthz` and `/readyz`: alive, and ready to serve. */
import { expect, test } from "vitest";
import { call, expectStatus } from "./actors.ts";

test("healthz is alive without credential, without limit and without Postgres", async () => {
  const answer = expectStatus(await call<Record<string, unknown>>(null, "GET", "/healthz"), 200);
  expect(answer.headers.get("content-type")).toBe("application/json");
  expect(answer.headers.get("cache-control")).toBe("no-store");
  expect(answer.headers.get("ratelimit")).toBeNull();
  expect(answer.headers.get("x-ratelimit-limit")).toBeNull();
});

test("readyz is ready on a migrated database and names nothing missing", async () => {
  const answer = expectStatus(await call<Record<string, unknown>>(null, "GET", "/readyz"), 200);
  expect(answer.body).toMatchObject({ missing_migrations: [], missing_indexes: [] });
  expect(answer.headers.get("cache-control")).toBe("no-store");
});

test("HEAD answers like GET without a body", async () => {
  const head = expectStatus(await call(null, "HEAD", "/healthz"), 200);
  expect(head.text).toBe("");
  expect(head.headers.get("content-type")).toBe("application/json");
});
