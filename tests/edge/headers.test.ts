/** What every answer carries, what a request may claim, and what it may not. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, call, expectProblem, expectStatus, home, nowhere, trace, user } from "./actors.ts";
import { forwarder } from "./forwarder.ts";
import type { AuditEvent, Page } from "./shapes.ts";
import { type OwnCell, poll, world } from "./world.ts";

const ORIGIN = "https://app.example.test";
let cell: OwnCell;

beforeAll(async () => {
  cell = await world().restart({
    CORS_ORIGINS: `${ORIGIN},https://other.example.test`,
    ENVIRONMENT: "production",
    LOG_FORMAT: "json",
  });
});
afterAll(() => cell.stop());

test("every answer is named, traced, timed and safe to receive", async () => {
  const place = await home();
  const answers = [
    await call(null, "GET", "/healthz"),
    await call(null, "GET", "/nowhere"),
    await call(null, "GET", "/v1/me"),
    await call(place.owner, "GET", "/v1/me"),
    await call(place.owner, "GET", `/v1/workspaces/${place.id}`),
    await call(place.owner, "PATCH", `/v1/workspaces/${place.id}`, { name: "Named" }),
    await call(place.owner, "POST", "/v1/orgs", "{"),
    await call(place.owner, "DELETE", `/v1/workspaces/${place.id}`),
  ];
  for (const answer of answers) expectCommonHeaders(answer);
  expect(new Set(answers.map((answer) => answer.headers.get("x-request-id"))).size).toBe(answers.length);
});

test("a correlation id is given back, a harmful one replaced", async () => {
  const good = await call(null, "GET", "/healthz", undefined, { "x-correlation-id": "order-17.b_3" });
  expect(good.headers.get("x-correlation-id")).toBe("order-17.b_3");
  for (const bad of ["x".repeat(129), "a b\tc", '"quoted"']) {
    const answer = await call(null, "GET", "/healthz", undefined, { "x-correlation-id": bad });
    expect(answer.headers.get("x-correlation-id")).not.toBe(bad);
    expectCommonHeaders(answer);
  }
});

test("a trace is continued with a span of our own, a malformed one replaced", async () => {
  const mine = trace();
  const answer = await call(null, "GET", "/healthz", undefined, { traceparent: mine.traceparent });
  const echoed = String(answer.headers.get("traceparent"));
  expect(echoed).toContain(mine.id);
  expect(echoed).not.toBe(mine.traceparent);
  for (const bad of ["00-zz-11-01", `00-${"0".repeat(32)}-${"1".repeat(16)}-01`, "garbage"]) {
    const replaced = await call(null, "GET", "/healthz", undefined, { traceparent: bad });
    expect(replaced.headers.get("traceparent")).toMatch(
      /^00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/,
    );
  }
});

test("tenant headers that agree with the path are welcome, others are 400", async () => {
  const place = await home();
  const path = `/v1/workspaces/${place.id}`;
  const agreeing = { "x-workspace-id": place.id, "x-org-id": place.org_id };
  expectStatus(await call(place.owner, "GET", path, undefined, agreeing), 200);
  for (const headers of [
    { "x-workspace-id": nowhere("ws") },
    { "x-org-id": nowhere("org") },
    { "x-workspace-id": "garbage" },
  ]) {
    expectProblem(await call(place.owner, "GET", path, undefined, headers), 400, "tenant-mismatch");
  }
  const org = `/v1/orgs/${place.org_id}`;
  expectProblem(
    await call(place.owner, "GET", org, undefined, { "x-org-id": nowhere("org") }),
    400,
    "tenant-mismatch",
  );
});

test("forged addresses and actors change nothing", async () => {
  const place = await home();
  const forged = {
    "x-forwarded-for": "203.0.113.7",
    "x-real-ip": "203.0.113.8",
    "x-actor-id": nowhere("user"),
    forwarded: "for=203.0.113.9",
  };
  const answer = await call(place.owner, "PATCH", `/v1/workspaces/${place.id}`, { name: "Forged" }, forged);
  expectStatus(answer, 200);
  expect(answer.headers.get("x-actor-id")).toBe(place.owner.id);
  const audit = await call<Page<AuditEvent>>(
    place.owner,
    "GET",
    `/v1/workspaces/${place.id}/audit`,
    undefined,
    {
      "x-drey-revision": String(answer.headers.get("x-drey-revision")),
    },
  );
  expect(audit.body.data[0]).toMatchObject({ action: "workspace.updated", actor_id: place.owner.id });
  expect(audit.text).not.toContain("203.0.113");
  expectProblem(
    await call(null, "GET", "/v1/me", undefined, { "x-actor-id": place.owner.id }),
    401,
    "unauthenticated",
  );
});

test("one log line of a request tells who, where, what and how long, and no secret", async () => {
  const place = await home();
  const answer = await call(place.owner, "PATCH", `/v1/workspaces/${place.id}`, { name: "Logged-name" });
  const id = String(answer.headers.get("x-request-id"));
  const line = await poll("the log line", async () => (await world().logs()).find((one) => one.includes(id)));
  for (const part of [place.id, place.owner.id, "/v1/workspaces/{ws}", "PATCH", "200"])
    expect(line).toContain(part);
  expect(line).not.toContain("Logged-name");
  expect(line).not.toContain(place.owner.token.slice(-40));
});

test("a request's log line is one JSON object with ids, tenant, actor, route, status, times, cache and limit", async () => {
  const place = await home(cell.api);
  const path = `/v1/workspaces/${place.id}/projects`;
  const answer = await call(place.owner, "GET", `${path}?limit=7`, undefined, {
    "x-correlation-id": "log-test",
  });
  const id = String(answer.headers.get("x-request-id"));
  const line = await poll("the log line", async () => (await cell.logs()).find((one) => one.includes(id)));
  expect(line.trim().split("\n")).toHaveLength(1);
  expect(flat(JSON.parse(line))).toMatchObject({
    level: expect.stringMatching(/^info$/i),
    request_id: id,
    correlation_id: "log-test",
    method: "GET",
    route: "/v1/workspaces/{ws}/projects",
    tenant: place.id,
    actor: place.owner.id,
    status: 200,
    ms: expect.any(Number),
    db_ms: expect.any(Number),
    db_round_trips: 1,
    cache: "MISS",
    limit_remaining: expect.any(Number),
    limit_policy: "relaxed",
  });
  expect(line).not.toContain("limit=7");
});

test("LOG_LEVEL=warn leaves the lines of requests that failed on our side, and no others", async () => {
  await using way = await forwarder();
  way.down(true);
  const vars = { LOG_FORMAT: "json", LOG_LEVEL: "warn", NEON_HTTP_URL: way.url };
  await using quiet = await world().restart(vars);
  const mine = { ...(await user()), api: quiet.api };
  const fine = expectStatus(await call(mine, "GET", "/v1/nothing-here"), 404);
  const refused = expectStatus(await call(null, "GET", `${quiet.api}/v1/me`), 401);
  const failed = expectStatus(await call(mine, "GET", "/v1/me"), 503);
  const lineOf = async (answer: Answer<unknown>) => {
    const id = answer.headers.get("x-request-id") ?? expect.unreachable();
    return (await quiet.logs()).find((one) => one.includes(id));
  };
  expect(JSON.parse(await poll("the line of the failure", () => lineOf(failed)))).toMatchObject({
    status: 503,
  });
  expect([await lineOf(fine), await lineOf(refused)]).toEqual([undefined, undefined]);
});

test("a preflight of a configured origin is answered, without credential and limit", async () => {
  const answer = await preflight(ORIGIN, "PATCH", "authorization, content-type, idempotency-key, if-match");
  expect([200, 204]).toContain(answer.status);
  expect(answer.headers.get("access-control-allow-origin")).toBe(ORIGIN);
  expect(listOf(answer, "access-control-allow-methods")).toContain("patch");
  expect(listOf(answer, "access-control-allow-headers")).toEqual(
    expect.arrayContaining(["authorization", "content-type", "idempotency-key", "if-match"]),
  );
  expect(Number(answer.headers.get("access-control-max-age"))).toBeGreaterThan(0);
  expect(listOf(answer, "vary")).toContain("origin");
});

test("an answer to a configured origin exposes what clients need", async () => {
  const caller = await user(cell.api);
  const answer = await call(caller, "GET", "/v1/me", undefined, { origin: ORIGIN });
  expect(answer.headers.get("access-control-allow-origin")).toBe(ORIGIN);
  expect(listOf(answer, "access-control-expose-headers")).toEqual(
    expect.arrayContaining([
      "etag",
      "location",
      "link",
      "retry-after",
      "ratelimit",
      "x-request-id",
      "x-drey-revision",
    ]),
  );
});

test("an origin that is not configured gets no permission", async () => {
  for (const origin of [
    "https://evil.example",
    `${ORIGIN}.evil.example`,
    "null",
    "http://app.example.test",
  ]) {
    const asked = await preflight(origin, "GET", "authorization");
    expect([origin, asked.headers.get("access-control-allow-origin")]).toEqual([origin, null]);
  }
});

test("production answers carry HSTS, development ones do not", async () => {
  const production = await call(null, "GET", `${cell.api}/healthz`);
  expect(production.headers.get("strict-transport-security")).toMatch(/max-age=\d{7,}/);
  expect((await call(null, "GET", "/healthz")).headers.get("strict-transport-security")).toBeNull();
});

function expectCommonHeaders(answer: Answer<unknown>): void {
  const headers = Object.fromEntries(answer.headers);
  expect(headers).toMatchObject({
    "x-request-id": expect.stringMatching(/^req_[0-7][0-9a-hjkmnp-tv-z]{25}$/),
    "x-correlation-id": expect.stringMatching(/^[\w.:/+=@-]{1,128}$/),
    traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/),
    "x-content-type-options": "nosniff",
    "referrer-policy": expect.stringMatching(/\S/),
    "cross-origin-resource-policy": expect.stringMatching(/\S/),
    "server-timing": expect.stringMatching(/dur=/),
    "cache-control": expect.stringMatching(/\S/),
  });
}

function preflight(origin: string, method: string, asked: string): Promise<Answer<unknown>> {
  return call(null, "OPTIONS", `${cell.api}/v1/orgs/${nowhere("org")}`, undefined, {
    origin,
    "access-control-request-method": method,
    "access-control-request-headers": asked,
  });
}

/** The line with what stands in `fields`, if anything does, beside the rest. */
function flat(line: Record<string, unknown>): Record<string, unknown> {
  return { ...line, ...(line.fields as Record<string, unknown> | undefined) };
}

function listOf(answer: Answer<unknown>, header: string): string[] {
  return (answer.headers.get(header) ?? "").split(",").map((item) => item.trim().toLowerCase());
}
