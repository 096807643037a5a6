/** Bodies that are refused, and why; the same rules hold on every route that reads one. */
import { request } from "node:http";
import { expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, nowhere, project, type User, user } from "./actors.ts";
import { device, mutation, workspaceScope } from "./pushes.ts";
import type { Org, Problem, PushResult } from "./shapes.ts";
import { fill, isOperators, rows, spec } from "./spec.ts";
import { world } from "./world.ts";

const MIB = 1024 * 1024;

test.each([
  ['{"name": "x",}', 1, 14],
  ['{\n  "name": "x"\n  "region": "weur"\n}', 3, 3],
  ['{"name": "x"', 1, 12],
  ["", 1, 0],
  ["nonsense", 1, 2],
])("malformed JSON %# is 400 with its line and column", async (body, line, column) => {
  const problem = expectProblem(await call(await user(), "POST", "/v1/orgs", body), 400, "malformed-json");
  expect(problem.detail).toContain(`line ${line} column ${column}`);
});

test("bytes that are not UTF-8 are malformed", async () => {
  const body = Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
  expectProblem(await call(await user(), "POST", "/v1/orgs", new Uint8Array(body)), 400, "malformed-json");
});

test("nesting without end is refused, in a body and in a value", async () => {
  const place = await home();
  const deep = "[".repeat(30_000) + "]".repeat(30_000);
  const body = await call(place.owner, "POST", "/v1/orgs", `{"name":${deep}}`);
  expect(body.status, body.text.slice(0, 200)).toBe(400);
  const one = device(place.owner, place);
  const text = JSON.stringify({
    client_id: one.clientId,
    mutations: [mutation(one, workspaceScope(place), { value: "DEEP" })],
  });
  const path = `/v1/workspaces/${place.id}/sync/push`;
  const pushed = await call<PushResult>(place.owner, "POST", path, text.replace('"DEEP"', `{"a":${deep}}`));
  expect(expectStatus(pushed, 200).body.results).toMatchObject([
    { outcome: "rejected", code: "invalid-value" },
  ]);
});

test.each(["null", "[]", '["Acme"]', '["Acme",null]', '"text"', "7", "{}", '{"name":7}', '{"name":null}'])(
  "the document %s is not an organisation",
  async (body) => {
    expectProblem(await call(await user(), "POST", "/v1/orgs", body), 400, "invalid-body");
  },
);

test("every route that reads a body refuses what is no JSON object, another type, and too much", async () => {
  const place = await home();
  const ids = {
    org: place.org_id,
    ws: place.id,
    user: place.owner.id,
    project: (await project(place)).id,
    key: nowhere("key"),
    divergence: nowhere("div"),
  };
  const reading = rows(await spec()).filter((row) => row.operation.requestBody);
  expect(reading.length).toBeGreaterThanOrEqual(11);
  const wrong: unknown[] = [];
  for (const row of reading) {
    const path = fill(row.path, ids);
    const caller = isOperators(row) ? { ...place.owner, token: world().operatorToken } : place.owner;
    const seen = [
      await call(caller, row.method, path, "{,"),
      await call(caller, row.method, path, "[]"),
      await call(caller, row.method, path, "{}", { "content-type": "text/plain" }),
      await call(caller, row.method, path, " ".repeat(MIB + 1)),
    ].map((answer) => answer.body.code);
    const expected = ["malformed-json", "invalid-body", "unsupported-media-type", "payload-too-large"];
    if (seen.join() !== expected.join()) wrong.push([row.method, row.path, seen]);
  }
  expect(wrong).toEqual([]);
});

test("an unknown field is named, on every route that reads a body", async () => {
  const place = await home();
  const attempts: [string, string, Record<string, unknown>][] = [
    ["POST", "/v1/orgs", { name: "x" }],
    ["PATCH", `/v1/orgs/${place.org_id}`, { name: "x" }],
    ["PUT", `/v1/orgs/${place.org_id}/plan`, { plan: "team" }],
    ["PUT", `/v1/orgs/${place.org_id}/members/${place.owner.id}`, { role: "owner" }],
    ["POST", `/v1/orgs/${place.org_id}/invitations`, { email: "a@example.test", role: "member" }],
    ["POST", "/v1/invitations/accept", { token: "x" }],
    ["POST", `/v1/orgs/${place.org_id}/workspaces`, { name: "x" }],
    ["PATCH", `/v1/workspaces/${place.id}`, { name: "x" }],
    ["PUT", `/v1/workspaces/${place.id}/members/${place.owner.id}`, { role: "admin" }],
    ["POST", `/v1/workspaces/${place.id}/projects`, { name: "x" }],
    ["POST", `/v1/workspaces/${place.id}/api-keys`, { name: "x", scopes: ["read"] }],
    ["POST", `/v1/workspaces/${place.id}/api-keys/${nowhere("key")}/rotate`, { overlap_seconds: 0 }],
    ["POST", `/v1/workspaces/${place.id}/sync/push`, { client_id: "c", mutations: [] }],
    ["POST", `/v1/workspaces/${place.id}/sync/sessions`, { client_id: "c", client_name: "x" }],
    ["POST", `/v1/workspaces/${place.id}/sync/divergences/${nowhere("div")}/resolve`, { take: "mine" }],
  ];
  for (const [method, path, body] of attempts) {
    const answer = await call(place.owner, method, path, { ...body, surprise: 1 });
    const problem = expectProblem(answer, 400, "unknown-field");
    expect(`${problem.detail} ${JSON.stringify(problem.errors)}`, path).toContain("surprise");
  }
});

test("a field given twice is refused", async () => {
  const answer = await call(await user(), "POST", "/v1/orgs", '{"name":"a","name":"b"}');
  expectProblem(answer, 400, "invalid-body");
});

test.each([
  "",
  "   ",
  "x".repeat(101),
  "a\u0000b",
  "line\nbreak",
  "tab\tin",
  "del\u007f",
  "\u0085",
  'esc"\u001b[31m',
])("the name %j is refused", async (name) => {
  const problem = expectProblem(await call(await user(), "POST", "/v1/orgs", { name }), 400, "invalid-body");
  expect(problem.errors).toEqual([{ pointer: "/name", detail: expect.any(String) }]);
});

test.each(["x", "x".repeat(100), "🦫".repeat(100), `  ${"y".repeat(100)}  `, "Ünïcödé 名前"])(
  "the name %j is kept, trimmed",
  async (name) => {
    const answer = await call<Org>(await user(), "POST", "/v1/orgs", { name });
    expect(expectStatus(answer, 201).body.name).toBe(name.trim());
  },
);

test.each([
  "text/plain",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "application/jsonx",
  "",
])("the content type %j is 415", async (type) => {
  const answer = await call(await user(), "POST", "/v1/orgs", '{"name":"x"}', { "content-type": type });
  expectProblem(answer, 415, "unsupported-media-type");
});

test("a missing content type is 415", async () => {
  const bytes = new Uint8Array(Buffer.from('{"name":"x"}'));
  const answer = await call(await user(), "POST", "/v1/orgs", bytes, { "content-type": null });
  expectProblem(answer, 415, "unsupported-media-type");
});

test.each(["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"])(
  "the content type %j is welcome",
  async (type) => {
    expectStatus(await call(await user(), "POST", "/v1/orgs", '{"name":"x"}', { "content-type": type }), 201);
  },
);

test("a body over 1 MiB is 413 by its length, before it is read", async () => {
  const owner = await user();
  const body = JSON.stringify({ name: "x".repeat(MIB) });
  expectProblem(await call(owner, "POST", "/v1/orgs", body), 413, "payload-too-large");
});

test("a body without a length is 413 as soon as it is over 1 MiB, although it has not ended", async () => {
  const place = await home();
  const { status, problem } = await unended(place.owner, `/v1/workspaces/${place.id}/sync/push`, MIB + 1);
  expect({ status, code: problem.code }).toEqual({ status: 413, code: "payload-too-large" });
});

test("a push of nearly 1 MiB is welcome, a larger one 413", async () => {
  const place = await home();
  const path = `/v1/workspaces/${place.id}/sync/push`;
  const empty = JSON.stringify({ client_id: "c", mutations: [] });
  expectStatus(await call(place.owner, "POST", path, empty.padEnd(MIB, " ")), 200);
  expectProblem(await call(place.owner, "POST", path, empty.padEnd(MIB + 1, " ")), 413, "payload-too-large");
});

/**
 * Sends `size` bytes of a body without a length and never ends it. Not a byte more: what a server leaves unread when it
 * closes makes the kernel drop its answer.
 */
function unended(caller: User, path: string, size: number): Promise<{ status: number; problem: Problem }> {
  const headers = { authorization: `Bearer ${caller.token}`, "content-type": "application/json" };
  return new Promise((resolve, reject) => {
    const outgoing = request(`${caller.api}${path}`, { method: "POST", headers }, (incoming) => {
      const parts: Buffer[] = [];
      incoming.on("data", (part: Buffer) => parts.push(part));
      incoming.on("end", () => {
        const problem = JSON.parse(Buffer.concat(parts).toString()) as Problem;
        resolve({ status: incoming.statusCode ?? 0, problem });
        outgoing.destroy();
      });
    });
    outgoing.on("error", reject);
    outgoing.write(Buffer.alloc(size, 0x20));
  });
}
