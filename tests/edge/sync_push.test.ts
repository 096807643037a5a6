/** `POST /v1/workspaces/{ws}/sync/push`: applied, duplicate, rejected. Conflicts: sync_conflicts.test.ts. */
import { expect, test } from "vitest";
import {
  call,
  expectProblem,
  expectStatus,
  home,
  member,
  nowhere,
  project,
  trace,
  unique,
} from "./actors.ts";
import { neonCounters } from "./neighbours.ts";
import { catchUp, device, mutation, push, readScope, workspaceScope } from "./pushes.ts";
import { poll, world } from "./world.ts";

test("a batch is applied in order, each mutation with the next epoch, in one round trip", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const mine = trace();
  const answer = await push(one, [mutation(one, scope), mutation(one, scope), mutation(one, scope)], {
    traceparent: mine.traceparent,
  });
  expect(expectStatus(answer, 200).body).toEqual({
    results: [1, 2, 3].map((n) => ({ id: n, outcome: "applied", version: n, epoch: n })),
    last_mutation_id: 3,
    scopes: [{ ...scope, generation: 1, epoch: 3 }],
  });
  expect((await neonCounters(mine.id)).requests).toBe(1);
});

test("a pushed batch that is sent again answers its first outcomes and writes nothing", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const batch = [mutation(one, scope), mutation(one, scope)];
  expectStatus(await push(one, batch), 200);
  const again = expectStatus(await push(one, batch), 200);
  expect(again.body.results.map((result) => [result.id, result.outcome, result.original?.outcome])).toEqual([
    [1, "duplicate", "applied"],
    [2, "duplicate", "applied"],
  ]);
  expect(again.body.last_mutation_id).toBe(2);
  expect(await catchUp(place.owner, place, scope)).toHaveLength(2);
});

test("a gap in the ids is 409 with the id that was expected", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  one.lastId = 4;
  const problem = expectProblem(await push(one, [mutation(one, scope)]), 409, "mutation-gap");
  expect(problem.expected_id).toBe(2);
  expect(await catchUp(place.owner, place, scope)).toHaveLength(1);
});

test("a client id belongs to the user who used it first", async () => {
  const place = await home();
  const editor = await member(place, "editor");
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  const thief = device(editor, place, one.clientId);
  thief.lastId = 1;
  expectProblem(await push(thief, [mutation(thief, scope)]), 403, "client-mismatch");
});

test("a client that was away longer than it is remembered is told so", async () => {
  await using cell = await world().restart({ SYNC_CLIENT_RETENTION_MS: "1" });
  const place = await home(cell.api);
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, workspaceScope(place))]), 200);
  const late = mutation(one, workspaceScope(place));
  await poll("the time to pass", async () => (await push(one, [late])).status === 409);
  expectProblem(await push(one, [late]), 409, "client-expired");
});

test("a client cannot be called like a divergence", async () => {
  const place = await home();
  const one = device(place.owner, place, nowhere("div"));
  expectProblem(await push(one, [mutation(one, workspaceScope(place))]), 400, "invalid-body");
});

test("an entity that only this client wrote since its base is not stale", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const entity = { type: "request", id: unique("request") };
  const batch = [
    mutation(one, scope, { entity }),
    mutation(one, scope, { entity }),
    mutation(one, scope, { entity }),
  ];
  const answer = expectStatus(await push(one, batch), 200);
  expect(answer.body.results.map((result) => result.outcome)).toEqual(["applied", "applied", "applied"]);
});

test("delete takes the value away and the next upsert brings it back", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const entity = { type: "folder", id: unique("folder") };
  expectStatus(await push(one, [mutation(one, scope, { entity, value: { n: 1 } })]), 200);
  const { value: _, ...remove } = mutation(one, scope, { entity, op: "delete", base_version: 1 });
  expectStatus(await push(one, [remove]), 200);
  expectStatus(await push(one, [mutation(one, scope, { entity, base_version: 2, value: { n: 2 } })]), 200);
  const messages = await catchUp(place.owner, place, scope);
  expect(messages.map((message) => [message.headers.operation, message.value])).toEqual([
    ["insert", { n: 1 }],
    ["delete", undefined],
    ["insert", { n: 2 }],
  ]);
});

test("one push may touch several scopes, each with its own epochs", async () => {
  const place = await home();
  const made = await project(place);
  const one = device(place.owner, place);
  const scopes = [workspaceScope(place), { type: "project", id: made.id }];
  const batch = scopes.flatMap((scope) => [mutation(one, scope), mutation(one, scope)]);
  const answer = expectStatus(await push(one, batch), 200);
  expect(answer.body.results.map((result) => result.epoch)).toEqual([1, 2, 1, 2]);
  expect(answer.body.scopes.map((scope) => [scope.id, scope.epoch]).sort()).toEqual(
    scopes.map((scope) => [scope.id, 2]).sort(),
  );
});

test.each([
  ["a variable", { type: "variable", value: { key: "token", value: "hunter2", secret: true } }],
  [
    "an environment",
    {
      type: "environment",
      value: {
        variables: [
          { key: "a", value: "1" },
          { key: "t", secret: true, value: "hunter2" },
        ],
      },
    },
  ],
  [
    "a map of variables",
    { type: "environment", value: { stages: [{ variables: { t: { secret: true, value: "hunter2" } } }] } },
  ],
  [
    "an environment of Postman's",
    {
      type: "environment",
      value: { values: [{ key: "t", value: "hunter2", type: "secret", enabled: true }] },
    },
  ],
])("a secret's value inside %s is rejected, alone, and stored nowhere", async (_, { type, value }) => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const batch = [mutation(one, scope, { entity: { type, id: unique("e") }, value }), mutation(one, scope)];
  const answer = expectStatus(await push(one, batch), 200);
  expect(answer.body.results).toMatchObject([
    { id: 1, outcome: "rejected", code: "secret-value" },
    { id: 2, outcome: "applied" },
  ]);
  const read = await readScope(place.owner, place, scope);
  expect(read.text).not.toContain("hunter2");
});

test("a secret without its value is welcome", async () => {
  const place = await home();
  const one = device(place.owner, place);
  const entity = { type: "variable", id: unique("v") };
  const batch = [mutation(one, workspaceScope(place), { entity, value: { key: "token", secret: true } })];
  expect(expectStatus(await push(one, batch), 200).body.results).toMatchObject([{ outcome: "applied" }]);
});

test("a viewer does not push", async () => {
  const place = await home();
  const viewer = device(await member(place, "viewer"), place);
  expectProblem(await push(viewer, [mutation(viewer, workspaceScope(place))]), 403, "forbidden");
});

test("500 mutations are welcome, 501 are not", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const many = Array.from({ length: 501 }, () => mutation(one, scope, { value: {} }));
  expectProblem(await push(one, many), 400, "invalid-body");
  const answer = expectStatus(await push(one, many.slice(0, 500)), 200);
  expect(answer.body.scopes).toEqual([{ ...scope, generation: 1, epoch: 500 }]);
});

test("a mutation that can never be applied is rejected with its reason, and the rest goes on", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const wrong: [string, Record<string, unknown>][] = [
    ["invalid-scope", { scope: { type: "galaxy", id: "x" } }],
    ["invalid-entity", { entity: { type: "request", id: "with space" } }],
    ["invalid-operation", { op: "replace" }],
    ["invalid-version", { base_version: -1 }],
    ["invalid-clock", { clock: { [one.clientId]: 999 } }],
    ["invalid-value", { value: "no object" }],
    ["invalid-value", { value: { name: 7 } }],
    ["invalid-value", { entity: { type: "variable", id: "v" }, value: { key: "k", secret: "true" } }],
    ["value-too-large", { value: { filler: "x".repeat(256 * 1024) } }],
  ];
  const batch = wrong.map(([, fields]) => mutation(one, scope, fields));
  const answer = expectStatus(await push(one, [...batch, mutation(one, scope)]), 200);
  expect(answer.body.results.map((result) => [result.outcome, result.code])).toEqual([
    ...wrong.map(([code]) => ["rejected", code]),
    ["applied", undefined],
  ]);
  expect(answer.body.scopes).toEqual([{ ...scope, generation: 1, epoch: 1 }]);
});

test("a body of wrong shape is refused and the client's number stays free", async () => {
  const place = await home();
  const one = device(place.owner, place);
  const path = `/v1/workspaces/${place.id}/sync/push`;
  const good = mutation(one, workspaceScope(place));
  for (const body of [
    { mutations: [good] },
    { client_id: "with space", mutations: [good] },
    { client_id: "x".repeat(65), mutations: [good] },
    { client_id: one.clientId, mutations: [{ ...good, op: undefined }] },
    { client_id: one.clientId, mutations: [{ ...good, scope: { ...good.scope, extra: 1 } }] },
    { client_id: one.clientId, mutations: [{ ...good, id: 0 }] },
    { client_id: one.clientId, mutations: [{ ...good, scope: Object.values(good.scope) }] },
    { client_id: one.clientId, mutations: [{ ...good, entity: Object.values(good.entity) }] },
    { client_id: one.clientId, mutations: [[1, good.scope, good.entity, "delete", null, {}, null]] },
    [one.clientId, null, null, [good]],
    { client_id: one.clientId, mutations: [{ ...good, extra: 1 }] },
  ]) {
    const answer = await call(place.owner, "POST", path, body);
    expect(answer.status, `${JSON.stringify(body)}: ${answer.text}`).toBe(400);
  }
  expect(expectStatus(await push(one, [good]), 200).body.last_mutation_id).toBe(1);
});

test("names that Postgres cannot hold are rejected with their mutation and nothing else", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const odd = "a\u0000b";
  const answer = await push(one, [
    { ...mutation(one, scope), scope: { type: odd, id: odd } },
    { ...mutation(one, scope), entity: { type: odd, id: odd } },
    { ...mutation(one, scope), op: odd },
    mutation(one, scope),
  ]);
  const outcomes = expectStatus(answer, 200).body.results.map((result) => result.outcome);
  expect(outcomes).toEqual(["rejected", "rejected", "rejected", "applied"]);
});
