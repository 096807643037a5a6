/** What goes wrong around the queue: disks, proxies, limits, tabs that end, names that cannot be sent. Nothing is lost by it. */
import type { RxCollection } from "rxdb";
import { expect, test } from "vitest";
import { expectProblem, expectStatus, home } from "../../../tests/edge/actors.ts";
import { catchUp, device, mutation, openSession, push, workspaceScope } from "../../../tests/edge/pushes.ts";
import { poll } from "../../../tests/edge/world.ts";
import { type Entity, memoryStore, type Store, type Transaction } from "../src/index.ts";
import { shapeOf } from "../src/rxdb/documents.ts";
import { tabsOf } from "../src/tabs.ts";
import { clientOf, indexedDbDisk, network, next, pushes, quickTimer } from "./place.ts";

const request = (id: string): Entity => ({ type: "request", id });
const isPush = (input: RequestInfo | URL) => new URL(String(input)).pathname.endsWith("/sync/push");

/** A store that can be full. */
class SmallStore implements Store {
  isFull = false;
  readonly #store = memoryStore();
  readonly name = this.#store.name;

  transact<T>(act: (transaction: Transaction) => Promise<T>): Promise<T> {
    if (this.isFull) return Promise.reject(new DOMException("no room", "QuotaExceededError"));
    return this.#store.transact(act);
  }

  close(): void {}
}

test("a disk that is full refuses what is new, keeps what is queued, and pauses loudly where outcomes cannot be kept", async () => {
  const [place, disk] = [await home(), new SmallStore()];
  const client = clientOf(place, {
    store: disk,
    fetch: async (input, init) => {
      const answer = await fetch(input, init);
      if (isPush(input) && pushed++ === 0) disk.isFull = true;
      return answer;
    },
  });
  let pushed = 0;
  const scope = client.scope("workspace", place.id);
  const { outcome } = await scope.put(request("a"), { n: 1 });
  const paused = next(client, "paused");
  await client.start();
  expect(await paused).toMatchObject({ code: "store" });
  expect(client.state).toMatchObject({ status: "paused", pending: 1, problem: { code: "store" } });
  await expect(scope.put(request("b"), { n: 2 })).rejects.toThrow("no room");
  disk.isFull = false;
  client.resume();
  expect(await outcome).toEqual({ outcome: "applied", version: 1 });
  expect(await (await scope.put(request("b"), { n: 2 })).outcome).toEqual({ outcome: "applied", version: 2 });
  expect((await catchUp(place.owner, place, workspaceScope(place))).map(({ key }) => key)).toEqual([
    "request/a",
    "request/b",
  ]);
  client.close();
});

test("a limit is waited out by as much as the server asks for, and whoever stands between may cut calls short", async () => {
  const [place, timer] = [await home(), quickTimer()];
  const [refusals, sizes]: [number[], number[]] = [[], []];
  const client = clientOf(place, {
    timer,
    fetch: async (input, init) => {
      if (!isPush(input)) return fetch(input, init);
      const size = String(init?.body).length;
      if (refusals.push(size) === 1) {
        return new Response("{}", { status: 429, headers: { "retry-after": "7" } });
      }
      // A proxy with a limit of its own speaks no problem+json.
      if (size > 20_000) return new Response("<h1>413</h1>", { status: 413 });
      sizes.push(size);
      return fetch(input, init);
    },
  });
  const scope = client.scope("workspace", place.id);
  for (let n = 0; n < 12; n += 1) await scope.put(request(`r-${n}`), { text: "x".repeat(5_000) });
  await client.start();
  await poll("an empty queue", async () => client.state.status === "idle" && client.state.pending === 0);
  expect(timer.waits[0]).toBe(7_000 + 125);
  expect([sizes.length > 2, Math.max(...sizes) <= 20_000]).toEqual([true, true]);
  expect(await catchUp(place.owner, place, workspaceScope(place))).toHaveLength(12);
  client.close();
});

test("a document's name is its type and id, whatever else the caller's object has, and what no name can be is refused here", async () => {
  const [place, wire] = [await home(), network()];
  const client = clientOf(place, { fetch: wire.fetch });
  await client.start();
  const scope = client.scope("workspace", place.id);
  const tree = { ...request("a"), name: "Log in", children: [] };
  expect(await (await scope.put(tree, { n: 1 })).outcome).toEqual({ outcome: "applied", version: 1 });
  for (const odd of [
    { type: "request" },
    { type: "request", id: 7 },
    { type: "request", id: "\ud800" },
    { type: "request", id: "x".repeat(2_000_000) },
    { id: "a" },
  ]) {
    await expect(scope.put(odd as Entity, { n: 2 })).rejects.toThrow(/name/);
  }
  await expect(client.scope("collection", "\udfff").put(request("a"), {})).rejects.toThrow(/name/);
  const base = { entity: request("b"), value: null, server: { value: null, version: 1.5 }, isPending: false };
  expect(await (await scope.put(request("b"), { n: 3 }, base)).outcome).toEqual({
    outcome: "applied",
    version: 2,
  });
  await poll("an empty queue", async () => client.state.status === "idle" && client.state.pending === 0);
  client.close();
});

test("what a tab had sent when it was closed is asked for by the other, and is there once", async () => {
  const [place, disk] = [await home(), indexedDbDisk()];
  const wires = [network(), network()];
  const [one, other] = await Promise.all(
    wires.map(async ({ fetch }) => {
      const store = await disk.open();
      return clientOf(place, { store, fetch, tabs: tabsOf(store.name) });
    }),
  );
  if (!one || !other || !wires[0] || !wires[1]) expect.unreachable();
  await one.start();
  await poll("the session", async () => one.state.open_divergences === 0);
  let cut = () => {};
  wires[0].held = new Promise((_, reject) => {
    cut = () => reject(new TypeError("terminated"));
  });
  wires[0].held.catch(() => {});
  for (const id of ["a", "b"]) await one.scope("workspace", place.id).put(request(id), { id });
  await poll("a push", async () => (await catchUp(place.owner, place, workspaceScope(place))).length > 0);
  await other.start();
  expect(pushes(wires[1])).toEqual([]);
  one.close();
  cut();
  await poll("an empty queue", async () => other.state.status === "idle" && other.state.pending === 0);
  const log = await catchUp(place.owner, place, workspaceScope(place));
  expect(log.map(({ key, headers }) => [key, headers.mutation_id])).toEqual([
    ["request/a", 1],
    ["request/b", 2],
  ]);
  other.close();
});

test("a program that passes for the client uses up none of its numbers unseen", async () => {
  const [place, wire] = [await home(), network()];
  const client = clientOf(place, { fetch: wire.fetch });
  await client.start();
  const scope = client.scope("workspace", place.id);
  await (await scope.put(request("a"), { n: 1 })).outcome;
  const log = () => catchUp(place.owner, place, workspaceScope(place));
  const impostor = device(place.owner, place, (await log())[0]?.headers.client_id);
  impostor.lastId = 1;
  const forged = [mutation(impostor, workspaceScope(place))];
  expectProblem(await push(impostor, forged), 409, "session-expired");
  expect(await (await scope.put(request("b"), { n: 2 })).outcome).toEqual({ outcome: "applied", version: 2 });
  // With a session of its own it ends the client's, which finds numbers used that it never sent.
  const { id: session_id } = expectStatus(await openSession(impostor), 201).body;
  const third = mutation(impostor, workspaceScope(place));
  expectStatus(await push(impostor, [third], {}, { session_id }), 200);
  expect(await (await scope.put(request("c"), { n: 3 })).outcome).toEqual({ outcome: "applied", version: 4 });
  expect((await log()).map(({ key }) => key)).toEqual([
    "request/a",
    "request/b",
    expect.any(String),
    "request/c",
  ]);
  client.close();
});

test("a collection with attachments is not taken for one that is replicated whole", () => {
  const schema = { primaryPath: "id", jsonSchema: { properties: { drey_version: {} }, attachments: {} } };
  const collection = { name: "files", schema } as unknown as RxCollection;
  expect(() => shapeOf(collection, "drey_version")).toThrow(/attachments/);
});
