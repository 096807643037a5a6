/** The queue: what is written is kept, sent once in its order, and its outcome told, whatever happens in between. */
import { expect, test } from "vitest";
import { home } from "../../../tests/edge/actors.ts";
import { neonFault } from "../../../tests/edge/neighbours.ts";
import { catchUp, workspaceScope } from "../../../tests/edge/pushes.ts";
import { poll, world } from "../../../tests/edge/world.ts";
import { memoryStore, type Told } from "../src/index.ts";
import { deliver } from "../src/queue/outcomes.ts";
import { documentKey, META, metaOf, outcomeKey, type Queued, queueKey } from "../src/queue/records.ts";
import { beginAgain } from "../src/queue/renumber.ts";
import { settle } from "../src/queue/settle.ts";
import { clientOf, DISKS, network, next, pushes, quickTimer } from "./place.ts";

const request = (id: string) => ({ type: "request", id });

test.each(DISKS)(
  "what is written offline survives a restart and arrives in its order (%s)",
  async (_, disk) => {
    const [place, kept, wire] = [await home(), disk(), network()];
    wire.isDown = true;
    const before = clientOf(place, { store: await kept.open(), fetch: wire.fetch });
    await before.start();
    for (const id of ["a", "b", "a"]) await before.scope("workspace", place.id).put(request(id), { n: id });
    await before.scope("workspace", place.id).delete(request("b"));
    await poll("an attempt", async () => before.state.status === "waiting");
    expect(before.state).toMatchObject({ pending: 4, last_acknowledged: 0, problem: { code: "network" } });
    before.close();

    const after = clientOf(place, { store: await kept.open() });
    const told: Told[] = [];
    after.on("outcome", (event) => told.push(event));
    const view = await after.scope("workspace", place.id).get(request("a"));
    expect(view).toMatchObject({ value: { n: "a" }, isPending: true, server: { version: 0 } });
    await after.start();
    await poll("all outcomes", async () => told.length === 4);
    expect(told.map(({ entity, outcome }) => [entity.id, outcome])).toEqual([
      ["a", { outcome: "applied", version: 1 }],
      ["b", { outcome: "applied", version: 2 }],
      ["a", { outcome: "applied", version: 3 }],
      ["b", { outcome: "applied", version: 4 }],
    ]);
    const log = await catchUp(place.owner, place, workspaceScope(place));
    expect(log.map(({ key, headers }) => [key, headers.mutation_id])).toEqual([
      ["request/a", 1],
      ["request/b", 2],
      ["request/a", 3],
      ["request/b", 4],
    ]);
    await poll("an empty queue", async () => after.state.status === "idle" && after.state.pending === 0);
    expect(after.state.last_acknowledged).toBe(4);
    after.close();
  },
);

test.each(["drop_before_commit", "drop_after_commit"] as const)(
  "an answer that is lost (%s) is asked for again, and the write is there once",
  async (kind) => {
    const [place, wire, timer] = [await home(), network(), quickTimer()];
    const client = clientOf(place, { fetch: wire.fetch, timer });
    await client.start();
    await poll("the session", async () => client.state.open_divergences === 0);
    // More often than the Worker tries by itself: the client is left without an answer.
    const fault = await neonFault({ kind, match: wire.traceId, times: 6 });
    const { outcome } = await client.scope("workspace", place.id).put(request("a"), { n: 1 });
    expect(await outcome).toEqual({ outcome: "applied", version: 1 });
    expect(await fault.fired()).toBeGreaterThan(1);
    expect(pushes(wire).length).toBeGreaterThan(1);
    // The server asks for a second; half of the jitter comes on top.
    expect(timer.waits[0]).toBe(1_000 + 125);
    expect(await catchUp(place.owner, place, workspaceScope(place))).toHaveLength(1);
    client.close();
  },
);

test("a document that is refused in the middle is told, and the rest goes on", async () => {
  const place = await home();
  const client = clientOf(place);
  const rejected = next(client, "rejected");
  const scope = client.scope("workspace", place.id);
  const writes = [
    await scope.put(request("a"), { n: 1 }),
    await scope.put({ type: "variable", id: "v" }, { secret: true, value: "hidden" }),
    await scope.put(request("big"), { text: "x".repeat(300_000) }),
    await scope.put({ type: "Not A Type", id: "x/y" }, { n: 1 }),
    await client.scope("workspace", "elsewhere").put(request("b"), { n: 2 }),
    await scope.put(request("c"), { n: 3 }),
  ];
  await client.start();
  const outcomes = await Promise.all(writes.map(({ outcome }) => outcome));
  expect(outcomes.map(({ outcome, code }) => code ?? outcome)).toEqual([
    "applied",
    "secret-value",
    "value-too-large",
    "invalid-entity",
    "invalid-scope",
    "applied",
  ]);
  expect(await rejected).toMatchObject({
    entity: { id: "v" },
    value: { secret: true },
    outcome: { code: "secret-value" },
  });
  await poll("an idle client", async () => client.state.status === "idle");
  expect(client.state).toMatchObject({ pending: 0, last_acknowledged: 6 });
  await expect(scope.put(request("huge"), { text: "x".repeat(1_100_000) })).rejects.toThrow(/fits no push/);
  client.close();
});

test("a push holds at most 500 mutations and 1 MiB, numbered without a gap", async () => {
  const [place, wire] = [await home(), network()];
  const client = clientOf(place, { fetch: wire.fetch });
  const scope = client.scope("workspace", place.id);
  for (let n = 0; n < 505; n += 1) await scope.put(request(`small-${n}`), { n });
  for (let n = 0; n < 6; n += 1) await scope.put(request(`large-${n}`), { text: "x".repeat(250_000) });
  await client.start();
  await poll("an empty queue", async () => client.state.status === "idle" && client.state.pending === 0);
  const sent = pushes(wire);
  expect(sent.map((ids) => ids.length)).toEqual([500, 9, 2]);
  expect(sent.flat()).toEqual(Array.from({ length: 511 }, (_, n) => n + 1));
  const bodies = wire.sent
    .filter(({ path }) => path.endsWith("/push"))
    .map(({ body }) => JSON.stringify(body));
  expect(Math.max(...bodies.map((body) => Buffer.byteLength(body)))).toBeLessThanOrEqual(1_048_576);
  client.close();
});

test("an expired credential stops the queue loudly and drops nothing; the next one goes on", async () => {
  const [place, wire] = [await home(), network()];
  const claims = { sub: place.owner.sub, email: place.owner.email };
  const token = await world().token({ ...claims, expires_in: -60 });
  const client = clientOf(place, { token, fetch: wire.fetch });
  const [refused, paused] = [next(client, "credential"), next(client, "paused")];
  await client.start();
  const { outcome } = await client.scope("workspace", place.id).put(request("a"), { n: 1 });
  expect(await refused).toMatchObject({ status: 401, code: "token-expired" });
  expect(await paused).toMatchObject({ code: "token-expired" });
  expect(client.state).toMatchObject({ status: "paused", pending: 1, problem: { code: "token-expired" } });
  const before = wire.sent.length;
  await client.scope("workspace", place.id).put(request("b"), { n: 2 });
  expect([wire.sent.length, client.state.pending]).toEqual([before, 2]);
  client.setToken(place.owner.token);
  expect(await outcome).toEqual({ outcome: "applied", version: 1 });
  await poll("an empty queue", async () => client.state.status === "idle" && client.state.pending === 0);
  client.close();
});

test("each request names the tenant", async () => {
  const [place, wire] = [await home(), network()];
  const client = clientOf(place, { fetch: wire.fetch });
  await client.start();
  const scope = client.scope("workspace", place.id);
  await (await scope.put(request("a"), {})).outcome;
  const followed = scope.follow();
  await followed.ready;
  client.close();
  expect(new Set(wire.sent.map(({ path }) => path.split("/").at(-1))).size).toBeGreaterThan(2);
  for (const { headers } of wire.sent) {
    expect([headers.get("x-org-id"), headers.get("x-workspace-id")]).toEqual([place.org_id, place.id]);
  }
});

test("an outcome from before the client began again is told, and acknowledges nothing of what comes after", async () => {
  const store = memoryStore();
  await store.transact(async (transaction) => {
    const meta = await metaOf(transaction);
    transaction.put(META, { ...meta, last_id: 7, attempted_id: 7, settled_id: 7 });
    transaction.put(outcomeKey(7), { id: 7 });
    await beginAgain(transaction);
  });
  const told: number[] = [];
  expect(await deliver(store, ({ id }) => told.push(id))).toMatchObject({ settled_id: 0, acked_id: 0 });
  expect(told).toEqual([7]);
});

test.each([
  ["is not told any more", {}, { version: 1, value: { n: 1 } }],
  ["is deleted", { value: null }, { version: 3, value: null }],
])("what stands after a merge, where it %s", async (_, told, held) => {
  const [store, scope, entity] = [memoryStore(), { type: "workspace" as const, id: "w" }, request("a")];
  const queued: Queued = {
    ref: "r",
    scope,
    entity,
    op: "upsert",
    value: { n: 2 },
    base_version: 1,
    seen: {},
    is_chained: false,
  };
  const original = { outcome: "merged" as const, version: 3, epoch: 3, ...told };
  const results = [{ id: 1, outcome: "duplicate" as const, original }];
  const kept = await store.transact(async (transaction) => {
    const meta = await metaOf(transaction);
    transaction.put(META, { ...meta, last_id: 1, attempted_id: 1 });
    transaction.put(queueKey(1), queued);
    transaction.put(documentKey(scope, entity), { version: 1, value: { n: 1 } });
    await settle(transaction, meta.client_id, { results, last_mutation_id: 1, scopes: [] });
    return transaction.get(documentKey(scope, entity));
  });
  expect(kept).toEqual(held);
});
