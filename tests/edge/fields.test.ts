/** Structured fields of every kind of answer parse with an RFC 9651 parser, and the check of all answers can fail. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { type Answer, call, home, nowhere, project, type User, user } from "./actors.ts";
import { members } from "./fields.ts";
import { fill, isGuarded, isOperators, type Row, rows, spec } from "./spec.ts";
import { poll, world } from "./world.ts";

test.each([
  ["ratelimit", "standard;r=1;t=2"],
  ["ratelimit", '"standard";t=2'],
  ["ratelimit", '"standard";r=-1'],
  ["ratelimit", '"standard";r=1.5'],
  ["ratelimit-policy", '"standard";q=10;w=60,'],
  ["ratelimit-policy", '"standard";w=60'],
  ["cache-status", "drey; hit; detail=two words"],
  ["cache-status", "drey; hit=1"],
  ["cache-status", "drey; fwd=Miss, "],
  ["server-timing", 'total;dur="3"'],
  ["server-timing", "total;dur=1.2345"],
])("an answer whose %s is %s is refused by every call of the suite", async (header, value) => {
  const server = createServer((_, response) => response.setHeader(header, value).end("{}"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await expect(call(null, "GET", `http://127.0.0.1:${port}/`)).rejects.toThrow(header);
  await new Promise((resolve) => server.close(resolve));
});

test("every route's answers have fields that parse: let in, unknown, foreign and without a credential", async () => {
  const place = await home();
  const [made, stranger] = [await project(place), await user()];
  const document = await spec();
  const ids = {
    org: place.org_id,
    ws: place.id,
    project: made.id,
    user: place.owner.id,
    invitation: nowhere("inv"),
    key: nowhere("key"),
    divergence: nowhere("div"),
    session: nowhere("ses"),
    scope_type: "workspace",
    scope_id: place.id,
  };
  const all = rows(document).filter((row) => isGuarded(document, row) && !isOperators(row));
  expect(all.length).toBeGreaterThan(20);
  for (const row of all) {
    const path = fill(row.path, ids);
    expectTimed(row, await call(null, row.method, path));
    for (const caller of [place.owner, stranger]) await asked(row, caller, path);
  }
});

test("a copy, its 304 and a refusal for the limit have fields that parse", async () => {
  const limits = { anonymous: { base: 100_000 }, relaxed: { base: 12, window_ms: 60_000, burst: 12 } };
  await using cell = await world().restart({ LIMITS: JSON.stringify(limits) });
  const place = await home(cell.api);
  const path = `/v1/workspaces/${place.id}`;
  const hit = await poll("a copy", async () => {
    const answer = await call<unknown>(place.owner, "GET", path);
    return answer.headers.get("x-cache") === "HIT" && answer;
  });
  expect(members("cache-status", field(hit, "cache-status")).get("drey")?.get("hit")).toBe(true);
  const unchanged = await call(place.owner, "GET", path, undefined, { "if-none-match": field(hit, "etag") });
  expect(unchanged.status).toBe(304);
  expect(members("ratelimit", field(unchanged, "ratelimit")).get("relaxed")?.get("r")).toBeGreaterThanOrEqual(
    0,
  );
  const refused = await poll("a refusal", async () => {
    const answer = await call(place.owner, "GET", path);
    return answer.status === 429 && answer;
  });
  expect(members("ratelimit", field(refused, "ratelimit")).get("relaxed")?.get("r")).toBe(0);
  expect(members("ratelimit-policy", field(refused, "ratelimit-policy")).get("relaxed")?.get("q")).toBe(12);
});

/** No body and a version that is none: nothing of the place changes before the last row has been asked. */
async function asked(row: Row, caller: User, path: string): Promise<void> {
  const answer = await call(caller, row.method, path, undefined, { "if-match": '"999999"' });
  expect([401, 500], `${row.method} ${path}`).not.toContain(answer.status);
  expectTimed(row, answer);
  if (answer.status < 300 && row.operation["x-policy"]) field(answer, "ratelimit");
}

function expectTimed(row: Row, answer: Answer<unknown>): void {
  const timing = members("server-timing", field(answer, "server-timing"));
  expect([...timing.keys()].slice(0, 3), `${row.method} ${row.path}`).toEqual(["total", "db", "gate"]);
}

function field(answer: Answer<unknown>, name: string): string {
  return answer.headers.get(name) ?? expect.unreachable(`no ${name}: ${answer.status} ${answer.text}`);
}
