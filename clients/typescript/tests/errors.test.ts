/** What follows from an answer: how long to wait, and whether to ask again. */
import { expect, test } from "vitest";
import { backoffMs } from "../src/http/backoff.ts";
import { errorOf, isCredential, isTransient, NetworkError } from "../src/http/errors.ts";
import { Client, memoryStore } from "../src/index.ts";
import { quickTimer } from "./place.ts";

const NOW = Date.parse("2026-11-21T10:00:00Z");

test.each([
  ["7", undefined, 7_000],
  ["Sat, 21 Nov 2026 10:00:09 GMT", undefined, 9_000],
  ["Sat, 21 Nov 2026 09:00:00 GMT", undefined, 0],
  [null, 3, 3_000],
  ["soon", undefined, 0],
  [null, undefined, 0],
])("Retry-After %j, or the problem's %j, is %i ms", (header, retry_after, ms) => {
  const headers = new Headers(header === null ? {} : { "retry-after": header });
  expect(errorOf(503, headers, JSON.stringify({ retry_after }), NOW).retryAfterMs).toBe(ms);
});

test.each(["2026-11-20T10:00:00Z", "2027-11-21T10:00:00Z"])(
  "a date of Retry-After is the server's, whatever the clock here says (%s)",
  (here) => {
    const headers = { date: "Sat, 21 Nov 2026 10:00:00 GMT", "retry-after": "Sat, 21 Nov 2026 10:00:09 GMT" };
    expect(errorOf(503, new Headers(headers), "", Date.parse(here)).retryAfterMs).toBe(9_000);
  },
);

test("the wait is the server's hint and a jitter that doubles up to 30 s", () => {
  expect([0, 1, 2, 10].map((attempt) => backoffMs(attempt, 1_000, 0))).toEqual([1_000, 1_000, 1_000, 1_000]);
  expect([0, 1, 2, 10].map((attempt) => backoffMs(attempt, 0, 0.5))).toEqual([125, 250, 500, 15_000]);
});

test("an answer that is not drey's is told by its status", () => {
  const error = errorOf(502, new Headers(), "<html>", NOW);
  expect([error.code, error.status, isTransient(error)]).toEqual(["http-502", 502, true]);
});

test.each([
  [400, "invalid-body", false],
  [401, "token-expired", false],
  [403, "forbidden", false],
  [408, undefined, true],
  [409, "idempotency-in-flight", true],
  [409, "conflict", false],
  [429, "rate-limited", true],
  [500, "internal", true],
  [503, "overloaded", true],
])("%i %s may succeed later: %s", (status, code, transient) => {
  const error = errorOf(status, new Headers(), JSON.stringify({ code }), NOW);
  expect([isTransient(error), isCredential(error)]).toEqual([transient, status === 401]);
});

test("nothing that came back may succeed later", () => {
  expect(isTransient(new NetworkError(new TypeError("fetch failed")))).toBe(true);
  expect(isTransient(new Error("a fault of ours"))).toBe(false);
});

test("a server that settles nothing is asked again with growing pauses, not at once", async () => {
  const timer = quickTimer();
  let pushes = 0;
  const answers: typeof fetch = async (input) => {
    if (String(input).endsWith("/sessions")) {
      const limits = { mutations_per_push: 500, push_bytes: 1_048_576 };
      return Response.json({ id: "ses_1", limits, last_mutation_id: 0, open_divergences: 0, scopes: [] });
    }
    pushes += 1;
    const outcome = pushes > 3 ? { outcome: "applied", version: 1 } : { outcome: "retry" };
    const last_mutation_id = pushes > 3 ? 1 : 0;
    return Response.json({ results: [{ id: 1, ...outcome }], last_mutation_id, scopes: [] });
  };
  const place = { api: "http://model.invalid", org: "o", workspace: "w", token: "t", clientName: "n" };
  const client = new Client({ ...place, store: memoryStore(), fetch: answers, timer });
  await client.start();
  const { outcome } = await client.scope("workspace", "w").put({ type: "request", id: "r" }, {});
  expect(await outcome).toMatchObject({ outcome: "applied" });
  expect(timer.waits).toEqual([125, 250, 500]);
  client.close();
});
