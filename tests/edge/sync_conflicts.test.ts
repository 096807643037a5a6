/** `POST /v1/workspaces/{ws}/sync/push` where two write at once: merged, diverged, in at most three round trips. */
import { expect, test } from "vitest";
import { atOnce, call, expectProblem, expectStatus, home, trace, unique } from "./actors.ts";
import { neonCounters, neonFault } from "./neighbours.ts";
import {
  catchUp,
  type Device,
  device,
  type Mutation,
  mutation,
  push,
  readScope,
  workspaceScope,
} from "./pushes.ts";
import type { PushResult } from "./shapes.ts";
import { poll, world } from "./world.ts";

type Entity = Mutation["entity"];

test("a stale base diverges and the rest of the batch is applied, in two round trips", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const [one, two] = [device(place.owner, place), device(place.owner, place)];
  const entity = { type: "request", id: unique("request") };
  expectStatus(await push(one, [mutation(one, scope, { entity, value: { name: "first" } })]), 200);
  const changed = mutation(two, scope, { entity, base_version: 1, value: { name: "second" } });
  expectStatus(await push(two, [changed]), 200);
  const other = mutation(one, scope);
  const late = mutation(one, scope, { entity, base_version: 1, value: { name: "late" } });
  const mine = trace();
  const answer = expectStatus(await push(one, [other, late], { traceparent: mine.traceparent }), 200);
  const divergence_id = expect.stringMatching(/^div_/);
  const standing = { version: 2, epoch: 2, deleted: false, value: { name: "second" } };
  expect(answer.body.results).toEqual([
    { id: 2, outcome: "applied", version: 3, epoch: 3 },
    { id: 3, outcome: "diverged", ...standing, divergence_id },
  ]);
  expect((await neonCounters(mine.id)).requests).toBe(2);
  expect(await catchUp(place.owner, place, scope)).toHaveLength(3);
});

test("edits of other paths merge, and what nobody changed keeps its bytes", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const [one, two] = [device(place.owner, place), device(place.owner, place)];
  const entity = { type: "collection", id: unique("c") };
  const send = (from: Device, value: string, base_version: number | null) => {
    const body = JSON.stringify({
      client_id: from.clientId,
      mutations: [mutation(from, scope, { entity, base_version, value: "VALUE" })],
    });
    const path = `/v1/workspaces/${place.id}/sync/push`;
    return call<PushResult>(
      from.user,
      "POST",
      path,
      body.replace('"VALUE"', () => value),
    );
  };
  expectStatus(await send(one, '{"a":1,"b":2.50,"l":[{"id":1,"x":1},{"id":2,"x":1}]}', null), 200);
  const theirs = '{ "a":1, "b" : 2.50,"l":[ {"id":1,"x":2} , {"id":2,"x":1}],"new":"\\u00e9"}';
  expectStatus(await send(two, theirs, 1), 200);
  const merged = await send(one, '{"a":7,"b":2.5,"l":[{"id":1,"x":1},{"id":2,"x":9}]}', 1);
  const expected = '{ "a":7, "b" : 2.50,"l":[ {"id":1,"x":2} , {"id":2,"x":9}],"new":"\\u00e9"}';
  expect(expectStatus(merged, 200).body.results).toMatchObject([{ outcome: "merged", version: 3 }]);
  expect(merged.text).toContain(expected);
  expect((await readScope(place.owner, place, scope, "?offset=1_0000000000000002")).text).toContain(expected);
});

test("a causally later write is applied whatever base it names, a forged or stale clock overwrites nothing", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const [one, two, three] = [1, 2, 3].map(() => device(place.owner, place)) as [Device, Device, Device];
  const entity = { type: "request", id: unique("request") };
  expectStatus(await push(one, [mutation(one, scope, { entity, value: { v: 1 } })]), 200);
  const clock = (from: Device, seen: Record<string, number>) => ({
    ...seen,
    [from.clientId]: from.lastId + 1,
  });
  const write = async (from: Device, seen: Record<string, number>, v: number) => {
    const fields = { entity, base_version: null, clock: clock(from, seen), value: { v } };
    const [result] = expectStatus(await push(from, [mutation(from, scope, fields)]), 200).body.results;
    return result?.code ?? result?.outcome;
  };
  expect(await write(two, { [one.clientId]: 1 }, 2)).toBe("applied");
  expect(await write(three, { [one.clientId]: 1 }, 3)).toBe("diverged");
  expect(await write(three, { [one.clientId]: 1, [two.clientId]: 9 }, 4)).toBe("invalid-clock");
  expect(await write(three, { nobody: 99 }, 5)).toBe("diverged");
  expect(await write(three, { [one.clientId]: 1, [two.clientId]: 1 }, 6)).toBe("applied");
  const log = await catchUp(place.owner, place, scope);
  expect(log.map((message) => message.value)).toEqual([{ v: 1 }, { v: 2 }, { v: 6 }]);
});

test("delete against edit diverges both ways", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const [one, two] = [device(place.owner, place), device(place.owner, place)];
  const [kept, gone] = [1, 2].map(() => ({ type: "request", id: unique("request") })) as [Entity, Entity];
  const made = [kept, gone].map((entity) => mutation(one, scope, { entity, value: { v: 1 } }));
  expectStatus(await push(one, made), 200);
  const remove = (from: Device, entity: Entity, base_version: number) => {
    const { value: _, ...without } = mutation(from, scope, { entity, op: "delete", base_version });
    return without;
  };
  const edit = (from: Device, entity: Entity, base_version: number) =>
    mutation(from, scope, { entity, base_version, value: { v: 2 } });
  expectStatus(await push(two, [edit(two, kept, 1), remove(two, gone, 2)]), 200);
  const late = expectStatus(await push(one, [remove(one, kept, 1), edit(one, gone, 2)]), 200);
  expect(late.body.results).toMatchObject([
    { outcome: "diverged", version: 3, deleted: false, value: { v: 2 } },
    { outcome: "diverged", version: 4, deleted: true, value: null },
  ]);
});

test("small edits of a large entity are merged some at a time, and the answer stays small", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const [one, two] = [device(place.owner, place), device(place.owner, place)];
  const entity = { type: "request", id: unique("request") };
  const theirs = "x".repeat(200_000);
  expectStatus(await push(one, [mutation(one, scope, { entity, value: { a: 1 } })]), 200);
  const grown = mutation(two, scope, { entity, base_version: 1, value: { a: 1, theirs } });
  expectStatus(await push(two, [grown]), 200);
  const edits = Array.from({ length: 60 }, (_, mine) =>
    mutation(one, scope, { entity, base_version: mine === 0 ? 1 : 2, value: { a: 1, mine } }),
  );
  const answer = expectStatus(await push(one, edits), 200);
  const merged = answer.body.results.filter((result) => result.outcome === "merged");
  expect(merged.length).toBeGreaterThan(10);
  expect(merged.length).toBeLessThan(30);
  const outcomes = answer.body.results.map((result) => result.outcome);
  const retried = Array(edits.length - merged.length).fill("retry");
  expect(outcomes).toEqual([...Array(merged.length).fill("merged"), ...retried]);
  expect(answer.text.length).toBeLessThan(5 * 1024 * 1024);
  expect(answer.body.last_mutation_id).toBe(merged.at(-1)?.id);
  const last = (await catchUp(place.owner, place, scope)).at(-1);
  expect(last?.value).toEqual({ a: 1, theirs, mine: merged.length - 1 });
});

test("thirty clients on three isolates write one entity at once: at most three round trips, nothing lost", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const entity = { type: "request", id: unique("request") };
  const { apis } = world();
  const pushes = await atOnce(30, async (index) => {
    const from = device({ ...place.owner, api: apis[index % 3] ?? "" }, place);
    const mine = trace();
    const batch = [mutation(from, scope, { entity, value: { by: index } }), mutation(from, scope)];
    const answer = expectStatus(await push(from, batch, { traceparent: mine.traceparent }), 200);
    return { from, results: answer.body.results, trips: (await neonCounters(mine.id)).requests };
  });
  expect(Math.max(...pushes.map(({ trips }) => trips))).toBeLessThanOrEqual(3);
  const first = pushes.map(({ results }) => results[0]?.outcome);
  expect([
    first.filter((one) => one === "applied").length,
    first.filter((one) => one === "diverged").length,
  ]).toEqual([1, 29]);
  const log = await catchUp(place.owner, place, scope);
  expect(log.map((message) => message.headers.version)).toEqual(Array.from({ length: 31 }, (_, n) => n + 1));
});

test("an answer that is lost after its commit is the same answer as a duplicate", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const [one, two] = [device(place.owner, place), device(place.owner, place)];
  const [left, right] = [1, 2].map(() => ({ type: "request", id: unique("request") })) as [Entity, Entity];
  expectStatus(
    await push(
      one,
      [left, right].map((entity) => mutation(one, scope, { entity, value: { v: 1 } })),
    ),
    200,
  );
  const theirs = [mutation(two, scope, { entity: left, base_version: 1, value: { v: 1, t: 1 } })];
  expectStatus(
    await push(two, [...theirs, mutation(two, scope, { entity: right, base_version: 2, value: { v: 2 } })]),
    200,
  );
  const batch = [
    mutation(one, scope, { entity: left, base_version: 1, value: { v: 1, m: 1 } }),
    mutation(one, scope, { entity: right, base_version: 2, value: { v: 3 } }),
    mutation(one, scope),
    mutation(one, scope, { op: "nonsense" as "upsert" }),
  ];
  const mine = trace();
  const fault = await neonFault({ kind: "drop_after_commit", match: mine.id, times: 9 });
  expectProblem(await push(one, batch, { traceparent: mine.traceparent }), 503, "upstream-unavailable");
  expect(await fault.fired()).toBeGreaterThan(0);
  const again = await poll("the outcomes", async () => {
    const answer = expectStatus(await push(one, batch), 200);
    return answer.body.results.every(({ outcome }) => outcome === "duplicate") && answer;
  });
  expect(again.body.results.map(({ original }) => original)).toEqual([
    { outcome: "merged", version: 5, epoch: 5, deleted: false, value: { v: 1, t: 1, m: 1 } },
    expect.objectContaining({ outcome: "diverged", version: 4, value: { v: 2 } }),
    { outcome: "applied", version: 6, epoch: 6 },
    expect.objectContaining({ outcome: "rejected", code: "invalid-operation" }),
  ]);
  expect(await catchUp(place.owner, place, scope)).toHaveLength(6);
});
