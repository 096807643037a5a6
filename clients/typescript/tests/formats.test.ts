/** What is kept on users' machines: a client of next year must read it, so it is written out here. */
import { expect, test } from "vitest";
import { expectStatus, home } from "../../../tests/edge/actors.ts";
import { device, mutation, push, workspaceScope } from "../../../tests/edge/pushes.ts";
import { memoryStore, type Store } from "../src/index.ts";
import { deliver } from "../src/queue/outcomes.ts";
import { settle } from "../src/queue/settle.ts";
import { clientOf } from "./place.ts";

function entries(store: Store): Promise<Record<string, unknown>> {
  return store.transact(async (transaction) => {
    const all: [string, unknown][] = [];
    await transaction.each("", (key, value) => all.push([key, value]) > 0);
    return Object.fromEntries(all);
  });
}

test("a store's keys and records are fixed", async () => {
  const place = await home();
  const [scope, writer, store] = [workspaceScope(place), device(place.owner, place), memoryStore()];
  const entity = { type: "request", id: "r" };
  const written = mutation(writer, scope, { entity, value: { n: 1 } });
  expectStatus(await push(writer, [written]), 200);
  const client = clientOf(place, { store });
  const documents = client.scope("workspace", place.id);
  const followed = documents.follow();
  await followed.ready;
  followed.stop();
  await documents.put(entity, { n: 2 });
  await documents.delete(entity);
  const meta = {
    client_id: expect.any(String),
    session_id: null,
    attempted_id: 0,
    settled_id: 0,
    acked_id: 0,
  };
  const from = { scope, entity, base_version: 1, seen: { [writer.clientId]: 1 }, ref: expect.any(String) };
  const queued = { ...from, op: "upsert", value: { n: 2 }, is_chained: false };
  const at = `workspace/${place.id}`;
  const stored = await entries(store);
  expect(stored).toEqual({
    meta: { ...meta, last_id: 2 },
    "queue/0000000000000001": queued,
    "queue/0000000000000002": { ...from, op: "delete", is_chained: true },
    [`document/${at}/request/r`]: {
      version: 1,
      value: { n: 1 },
      load: expect.any(String),
      pending: { ids: [1, 2], value: null },
    },
    [`place/${at}`]: { offset: "1_0000000000000001", seen: { [writer.clientId]: 1 } },
  });

  const { client_id } = stored.meta as { client_id: string };
  const results = [{ id: 1, outcome: "applied" as const, version: 2, epoch: 2 }];
  const count = await store.transact((transaction) =>
    settle(transaction, client_id, { results, last_mutation_id: 1, scopes: [] }),
  );
  expect([count, (await entries(store))["outcome/0000000000000001"]]).toEqual([
    1,
    { id: 1, mutation: queued, outcome: { outcome: "applied", version: 2 } },
  ]);
  expect(await deliver(store, () => {})).toEqual({
    ...meta,
    last_id: 2,
    attempted_id: 1,
    settled_id: 1,
    acked_id: 1,
  });
  expect(Object.keys(await entries(store)).filter((key) => key.startsWith("outcome/"))).toEqual([]);
  client.close();
});
