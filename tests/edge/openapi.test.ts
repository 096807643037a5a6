/** `/openapi.json`: valid OpenAPI 3.1, and the same list of routes that the router has. */
import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, nowhere } from "./actors.ts";
import { fill, isGuarded, isOperators, type Row, rows, type Spec, spec } from "./spec.ts";

import { type OwnCell, world } from "./world.ts";

const ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];

const LIMIT_HEADERS = [
  "retry-after",
  "ratelimit",
  "ratelimit-policy",
  "x-ratelimit-limit",
  "x-ratelimit-remaining",
  "x-ratelimit-reset",
  "x-rate-limit-limit",
  "x-rate-limit-remaining",
  "x-rate-limit-reset",
];

const ANY_IDS = {
  org: nowhere("org"),
  ws: nowhere("ws"),
  workspace: nowhere("ws"),
  user: nowhere("user"),
  project: nowhere("prj"),
  id: nowhere("inv"),
  invitation: nowhere("inv"),
  key: nowhere("key"),
  divergence: nowhere("div"),
  session: nowhere("ses"),
  scope_type: "workspace",
  scope_id: nowhere("ws"),
};

/** Callers without a credential share one address and its limit: these many get a cell of their own. */
let cell: OwnCell;

beforeAll(async () => {
  cell = await world().restart({
    LIMITS: JSON.stringify({ anonymous: { base: 10_000 }, strict: { base: 10_000 } }),
  });
});
afterAll(() => cell.stop());

test("the document is valid OpenAPI 3.1 and may be cached by anybody", async () => {
  const answer = expectStatus(await call<Spec>(null, "GET", "/openapi.json"), 200);
  expect(answer.body.openapi).toMatch(/^3\.1\./);
  expect(answer.headers.get("cache-control")).toMatch(/^public, /);
  const judged = await new Validator().validate(JSON.parse(answer.text));
  expect(judged.errors ?? []).toEqual([]);
  expect(judged.valid).toBe(true);
});

test("each operation of the document answers: 401 where it is guarded, 200 where it is not", async () => {
  const document = await spec();
  const seen = await Promise.all(
    rows(document).map(async (row) => {
      const answer = await call(null, row.method, `${cell.api}${fill(row.path, ANY_IDS)}`);
      return { row: `${row.method} ${row.path}`, status: answer.status, guarded: isGuarded(document, row) };
    }),
  );
  expect(seen.filter((one) => one.status !== (one.guarded ? 401 : 200))).toEqual([]);
  expect(seen.length).toBeGreaterThanOrEqual(40);
});

test("every other method of a path is 405, and Allow lists exactly the path's own", async () => {
  const document = await spec();
  const wrong: unknown[] = [];
  for (const path of Object.keys(document.paths)) {
    const own = methodsOf(rows(document), path);
    for (const method of ALL_METHODS.filter((one) => !own.includes(one))) {
      const answer = await call(null, method, `${cell.api}${fill(path, ANY_IDS)}`);
      const allowed = allowedBy(answer.headers);
      if (answer.status !== 405 || allowed !== own.join()) wrong.push([method, path, answer.status, allowed]);
    }
  }
  expect(wrong).toEqual([]);
});

test("every operation but the probe is refused over its limit, with the headers of the limit", async () => {
  const place = await home();
  const tiers = ["strict", "standard", "relaxed", "tickets"].map((tier) => [
    tier,
    { base: 1, burst: 1, block_ms: 0 },
  ]);
  // Without a credential: one call each of the two public routes. The owner's token is first seen at a strict one.
  const anonymous = { base: 2, window_ms: 600_000 };
  const limits = { anonymous, "sign-in": { base: 1, window_ms: 600_000 }, ...Object.fromEntries(tiers) };
  await using narrow = await world().restart({ LIMITS: JSON.stringify(limits) });
  const document = await spec();
  const ids = { ...ANY_IDS, org: place.org_id, ws: place.id, scope_id: place.id };
  // What is charged is charged before a body is read: an empty one changes nothing.
  const act = (row: Row) => call(place.owner, row.method, `${narrow.api}${fill(row.path, ids)}`);
  for (const row of rows(document).filter((one) => one.method !== "DELETE" && !isOperators(one)))
    await act(row);
  const open: string[] = [];
  for (const row of rows(document)) {
    const answer = await act(row);
    const complete = LIMIT_HEADERS.every((name) => answer.headers.has(name));
    if (answer.status !== 429 || !complete) open.push(`${row.method} ${row.path} ${answer.status}`);
  }
  expect(open).toEqual(["GET /healthz 200"]);
});

test("405 is a problem document", async () => {
  expectProblem(await call(null, "DELETE", "/v1/me"), 405, "method-not-allowed");
});

test.each(["/", "/v1", "/v1/", "/v1/orgs/", "/v1/unknown", "/v2/me", "/v1/me/", "//v1/me", "/V1/me"])(
  "%s is no path of the document and is 404",
  async (path) => {
    expectProblem(await call(null, "GET", path), 404, "not-found");
  },
);

test("every header and parameter that an operation reads is documented", async () => {
  const document = await spec();
  const named = (row: Row) => (row.operation.parameters ?? []).map((one) => one.name.toLowerCase());
  const missing = rows(document).flatMap((row) => {
    const wanted = [
      ...(isGuarded(document, row) && !isOperators(row) ? ["x-drey-revision"] : []),
      ...(row.path.includes("{org}") ? ["x-org-id"] : []),
      ...(row.path.includes("{ws}") ? ["x-org-id", "x-workspace-id"] : []),
      ...(["PATCH", "PUT", "DELETE"].includes(row.method) ? ["if-match"] : []),
      ...(row.path.endsWith("/presence") ? ["client_id"] : []),
      ...("304" in row.operation.responses ? ["if-none-match"] : []),
    ];
    return wanted
      .filter((name) => !named(row).includes(name))
      .map((name) => `${row.method} ${row.path} ${name}`);
  });
  expect(missing).toEqual([]);
});

test("presence documents its upgrade, and each 410 says what has gone", async () => {
  const { paths } = await spec();
  const described = (path: string, method: string, status: string) =>
    (paths[path]?.[method]?.responses[status] as { description?: string } | undefined)?.description;
  expect(described("/v1/workspaces/{ws}/presence", "get", "101")).toMatch(/WebSocket/);
  expect(described("/v1/invitations/accept", "post", "410")).toMatch(/invitation/i);
  expect(described("/v1/workspaces/{ws}/sync/{scope_type}/{scope_id}", "get", "410")).toMatch(/offset/i);
});

test("every operation documents the problem answers that any caller can meet", async () => {
  const document = await spec();
  const poor = rows(document)
    .filter((row) => isGuarded(document, row))
    .filter((row) => ["401", "429", "503"].some((status) => !(status in row.operation.responses)))
    .map((row) => `${row.method} ${row.path}`);
  expect(poor).toEqual([]);
});

function methodsOf(all: Row[], path: string): string[] {
  return all
    .filter((row) => row.path === path)
    .map((row) => row.method)
    .sort();
}

/** HEAD and OPTIONS come with every path and are not rows of the table. */
function allowedBy(headers: Headers): string {
  return (headers.get("allow") ?? "")
    .split(",")
    .map((method) => method.trim())
    .filter((method) => method !== "HEAD" && method !== "OPTIONS")
    .sort()
    .join();
}
