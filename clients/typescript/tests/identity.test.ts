/** Who the client is: sessions that end, servers that were restored, copies of a store, tabs, another user. */
import { expect, test } from "vitest";
import { home, member } from "../../../tests/edge/actors.ts";
import { sql, uuidOf } from "../../../tests/edge/database.ts";
import { catchUp, workspaceScope } from "../../../tests/edge/pushes.ts";
import { poll } from "../../../tests/edge/world.ts";
import { type Client, memoryStore, type Outcome } from "../src/index.ts";
import { META, type Meta } from "../src/queue/records.ts";
import { tabsOf } from "../src/tabs.ts";
import { clientOf, DISKS, network, next, pushes } from "./place.ts";

const request = (id: string) => ({ type: "request", id });

async function write(client: Client, id: string): Promise<Outcome> {
  const { workspace } = client.http.tenant;
  return (await client.scope("workspace", workspace).put(request(id), { id })).outcome;
}

test("a server that was restored names the number it expects, and the queue goes on from there", async () => {
  const [place, wire] = [await home(), network()];
  const client = clientOf(place, { fetch: wire.fetch });
  await client.start();
  for (const id of ["a", "b", "c"]) await write(client, id);
  await poll("an idle client", async () => client.state.status === "idle");
  const ws = uuidOf(place.id);
  await sql("delete from sync_mutation where workspace_id = $1", [ws]);
  await sql("update sync_client set last_mutation_id = 1, acked_mutation_id = 1 where workspace_id = $1", [
    ws,
  ]);
  expect(await write(client, "d")).toMatchObject({ outcome: "applied", version: 4 });
  expect(pushes(wire).slice(-2)).toEqual([[4], [2]]);
  expect(await write(client, "d")).toMatchObject({ outcome: "applied", version: 5 });
  client.close();
});

test("a client that was away too long begins again under another id, and loses nothing", async () => {
  const [place, wire] = [await home(), network()];
  const client = clientOf(place, { fetch: wire.fetch });
  await client.start();
  await write(client, "a");
  await sql("update sync_client set seen_at = now() - interval '1 year' where workspace_id = $1", [
    uuidOf(place.id),
  ]);
  expect(await write(client, "a")).toEqual({ outcome: "applied", version: 2 });
  const log = await catchUp(place.owner, place, workspaceScope(place));
  expect(new Set(log.map(({ headers }) => headers.client_id)).size).toBe(2);
  expect(log.map(({ headers }) => headers.mutation_id)).toEqual([1, 1]);
  client.close();
});

test("a session that is over is opened again", async () => {
  const [place, wire] = [await home(), network()];
  const client = clientOf(place, { fetch: wire.fetch });
  await client.start();
  await write(client, "a");
  await sql("delete from sync_session where workspace_id = $1", [uuidOf(place.id)]);
  expect(await write(client, "b")).toEqual({ outcome: "applied", version: 2 });
  await sql("delete from sync_session where workspace_id = $1", [uuidOf(place.id)]);
  expect(await client.refresh()).toMatchObject({ open_divergences: 0, last_acknowledged: 2 });
  client.close();
});

test("a copy of a store does not pass for its original", async () => {
  const place = await home();
  const [store, copy] = [memoryStore(), memoryStore()];
  const original = clientOf(place, { store });
  await original.start();
  const before = await store.transact((transaction) => transaction.get<Meta>(META));
  await write(original, "a");
  // As a backup of the device would bring back what was there before that write.
  await copy.transact(async (transaction) => transaction.put(META, before ?? (await first(store))));
  const copied = clientOf(place, { store: copy });
  const outcome = write(copied, "b");
  await copied.start();
  expect(await outcome).toEqual({ outcome: "applied", version: 2 });
  const log = await catchUp(place.owner, place, workspaceScope(place));
  expect(log.map(({ key }) => key)).toEqual(["request/a", "request/b"]);
  original.close();
  copied.close();
});

test("a copy that is used beside its original takes nothing from it, nor it from the copy", async () => {
  const place = await home();
  const [store, copy] = [memoryStore(), memoryStore()];
  const original = clientOf(place, { store });
  await original.start();
  await write(original, "a");
  const meta = await store.transact((transaction) => transaction.get<Meta>(META));
  await copy.transact(async (transaction) => transaction.put(META, meta));
  const copied = clientOf(place, { store: copy });
  await copied.start();
  for (const [client, id] of [
    [copied, "b"],
    [original, "c"],
    [copied, "d"],
    [original, "e"],
  ] as const) {
    expect(await write(client, id)).toMatchObject({ outcome: "applied" });
  }
  const log = await catchUp(place.owner, place, workspaceScope(place));
  expect(log.map(({ key }) => key)).toEqual(["a", "b", "c", "d", "e"].map((id) => `request/${id}`));
  original.close();
  copied.close();
});

async function first(store: ReturnType<typeof memoryStore>): Promise<Meta> {
  const meta = (await store.transact((transaction) => transaction.get<Meta>(META))) as Meta;
  return { ...meta, session_id: null, last_id: 0, attempted_id: 0, settled_id: 0, acked_id: 0 };
}

const PLATFORMS = [
  ["Web Locks", globalThis],
  ["nothing", {}],
] as const;

test.each(
  DISKS.flatMap(([kind, disk]) => PLATFORMS.map(([by, platform]) => [kind, by, disk, platform] as const)),
)(
  "two tabs of one store (%s, by %s) send each mutation once, and each hears of its own",
  async (_, _by, disk, platform) => {
    const [place, kept] = [await home(), disk()];
    const wires = [network(), network()];
    const stores = [await kept.open(), await kept.open()];
    const tabs = wires.map(({ fetch }, n) => {
      const store = stores[n] ?? memoryStore();
      return clientOf(place, { store, fetch, tabs: tabsOf(store.name, platform) });
    });
    await Promise.all(tabs.map((tab) => tab.start()));
    const ids = Array.from({ length: 20 }, (_, n) => `r-${n}`);
    const outcomes = await Promise.all(ids.map((id, n) => write(tabs[n % 2] as Client, id)));
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(ids.map(() => "applied"));
    const sent = wires.flatMap((wire) => pushes(wire).flat());
    expect(sent.sort((one, other) => one - other)).toEqual(ids.map((_, n) => n + 1));
    await poll("both to know", async () => tabs.every(({ state }) => state.pending === 0));
    for (const tab of tabs) tab.close();
  },
);

test("a queue of one user is not sent for another", async () => {
  const place = await home();
  const colleague = await member(place, "editor");
  const client = clientOf(place);
  await client.start();
  await write(client, "a");
  client.setToken(colleague.token);
  const paused = next(client, "paused");
  const mine = write(client, "b");
  expect(await paused).toMatchObject({ status: 403, code: "client-mismatch" });
  expect(client.state).toMatchObject({ status: "paused", pending: 1 });
  client.setToken(place.owner.token);
  expect(await mine).toMatchObject({ outcome: "applied" });
  client.close();
});
