/** Two clients write one document: what merges merges, what does not is kept until somebody chooses, on any device. */
import { expect, test } from "vitest";
import { home, type OwnedWorkspace } from "../../../tests/edge/actors.ts";
import { poll } from "../../../tests/edge/world.ts";
import type { Client, ScopeHandle, Told, Value } from "../src/index.ts";
import { clientOf, network, next, pushes } from "./place.ts";

const ENTITY = { type: "request", id: "r" };

interface Device {
  client: Client;
  scope: ScopeHandle;
  wire: ReturnType<typeof network>;
}

async function device(place: OwnedWorkspace): Promise<Device> {
  const wire = network();
  const client = clientOf(place, { fetch: wire.fetch });
  await client.start();
  return { client, scope: client.scope("workspace", place.id), wire };
}

/** Two devices that have both read the same document. */
async function pair(value: Value): Promise<{ place: OwnedWorkspace; one: Device; other: Device }> {
  const place = await home();
  const [one, other] = [await device(place), await device(place)];
  await (await one.scope.put(ENTITY, value)).outcome;
  for (const { scope } of [one, other]) {
    const followed = scope.follow();
    await followed.ready;
    followed.stop();
  }
  return { place, one, other };
}

const shown = async ({ scope }: Device) => (await scope.get(ENTITY)).value;

const close = (...devices: Device[]) => {
  for (const { client } of devices) client.close();
};

test("edits of one field diverge; one device resolves, the other is told who was first, and both see it", async () => {
  const { one, other } = await pair({ name: "base" });
  await other.client.refresh();
  const met = next(other.client, "divergence");
  expect(await (await one.scope.put(ENTITY, { name: "theirs" })).outcome).toMatchObject({
    outcome: "applied",
  });
  const late = await (await other.scope.put(ENTITY, { name: "mine" })).outcome;
  expect(late).toMatchObject({ outcome: "diverged", version: 2, value: { name: "theirs" } });
  const told: Told = await met;
  expect(told).toMatchObject({ entity: ENTITY, value: { name: "mine" } });
  expect([await shown(other), other.client.state.open_divergences]).toEqual([{ name: "theirs" }, 1]);

  const id = String(late.divergence_id);
  const listed = [];
  for await (const divergence of one.client.divergences.list(one.scope.scope)) listed.push(divergence.id);
  expect(listed).toEqual([id]);
  const whole = await one.client.divergences.get(id);
  expect([whole.base, whole.mine.value, whole.theirs.value]).toEqual([
    { name: "base" },
    { name: "mine" },
    { name: "theirs" },
  ]);
  expect(
    await one.client.divergences.resolve(id, { take: "value", value: { name: "both" }, version: 1 }),
  ).toEqual({
    outcome: "moved",
    version: 2,
  });
  const resolved = await one.client.divergences.resolve(id, { take: "value", value: { name: "both" } });
  expect(resolved).toMatchObject({ outcome: "resolved", resolution: { take: "value", version: 3 } });
  expect(await other.client.divergences.resolve(id, { take: "mine" })).toMatchObject({
    outcome: "lost",
    resolution: { take: "value" },
  });

  const seen = next(other.client, "resolved");
  for (const { scope } of [one, other]) await scope.follow().ready;
  expect(await seen).toMatchObject({ entity: ENTITY, divergence_id: id });
  expect([await shown(one), await shown(other)]).toEqual([{ name: "both" }, { name: "both" }]);
  expect(other.client.state.open_divergences).toBe(0);
  close(one, other);
});

test("edits of other fields merge, and the merged document is shown at once", async () => {
  const { one, other } = await pair({ a: 0, b: 0 });
  await (await one.scope.put(ENTITY, { a: 1, b: 0 })).outcome;
  const outcome = await (await other.scope.put(ENTITY, { a: 0, b: 1 })).outcome;
  expect(outcome).toMatchObject({ outcome: "merged", value: { a: 1, b: 1 } });
  expect(await shown(other)).toEqual({ a: 1, b: 1 });
  close(one, other);
});

test("a client that types on while its change is merged does not collide with itself", async () => {
  const { one, other } = await pair({ a: 0, b: 0 });
  await (await one.scope.put(ENTITY, { a: 0, b: 1 })).outcome;
  const { promise, resolve: release } = Promise.withResolvers<void>();
  other.wire.held = promise;
  const first = await other.scope.put(ENTITY, { a: 1, b: 0 });
  await poll("the first to be on its way", async () => pushes(other.wire).length === 1);
  const rest = [
    await other.scope.put(ENTITY, { a: 2, b: 0 }),
    await other.scope.put(ENTITY, { a: 3, b: 0, c: 1 }),
  ];
  release();
  expect(await first.outcome).toMatchObject({ outcome: "merged", value: { a: 1, b: 1 } });
  for (const { outcome } of rest) expect(await outcome).toMatchObject({ outcome: "applied" });
  expect(await shown(other)).toEqual({ a: 3, b: 1, c: 1 });
  close(one, other);
});

test("a change that was made from an older view overwrites nothing that came since", async () => {
  const { one, other } = await pair({ name: "base" });
  const seen = await other.scope.get(ENTITY);
  await (await one.scope.put(ENTITY, { name: "theirs" })).outcome;
  const followed = other.scope.follow();
  await followed.ready;
  expect(await shown(other)).toEqual({ name: "theirs" });
  expect(await (await other.scope.put(ENTITY, { name: "mine" }, seen)).outcome).toMatchObject({
    outcome: "diverged",
  });
  expect(await (await other.scope.put(ENTITY, { name: "mine" })).outcome).toMatchObject({
    outcome: "applied",
  });
  close(one, other);
});

test("a delete meets an edit, and neither is lost", async () => {
  const { one, other } = await pair({ name: "base" });
  await (await one.scope.put(ENTITY, { name: "edited" })).outcome;
  const late = await (await other.scope.delete(ENTITY)).outcome;
  expect(late).toMatchObject({ outcome: "diverged", value: { name: "edited" } });
  const resolved = await other.client.divergences.resolve(String(late.divergence_id), { take: "mine" });
  expect(resolved.outcome).toBe("resolved");
  for (const { scope } of [one, other]) await scope.follow().ready;
  expect([await shown(one), await one.scope.list()]).toEqual([null, []]);
  close(one, other);
});
