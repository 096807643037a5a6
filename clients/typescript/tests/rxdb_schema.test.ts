/** RxDB with a schema that is enforced: what is deleted is held to it as well, or it would stay on the other side for ever. */
import { createRxDatabase, type RxCollection, type RxDatabase } from "rxdb";
import { getRxStorageMemory } from "rxdb/plugins/storage-memory";
import { wrappedValidateAjvStorage } from "rxdb/plugins/validate-ajv";
import { afterEach, expect, test } from "vitest";
import { home, type OwnedWorkspace, unique } from "../../../tests/edge/actors.ts";
import { catchUp, readScope, workspaceScope } from "../../../tests/edge/pushes.ts";
import { poll } from "../../../tests/edge/world.ts";
import type { Client } from "../src/index.ts";
import { replicateScope } from "../src/rxdb/index.ts";
import { clientOf, network, next } from "./place.ts";

interface Request {
  id: string;
  name: string;
  drey_version?: number;
}

const schema = {
  version: 0,
  primaryKey: "id",
  type: "object",
  properties: {
    id: { type: "string", maxLength: 64 },
    name: { type: "string" },
    drey_version: { type: "number" },
  },
  required: ["id", "name"],
} as const;

const opened: { database: RxDatabase; client: Client }[] = [];

afterEach(async () => {
  for (const { database, client } of opened.splice(0)) {
    await database.close();
    client.close();
  }
});

async function side(place: OwnedWorkspace, live = true) {
  const wire = network();
  /** Answers to pushes, and to nothing else, are there but do not arrive before this has resolved. */
  const pushed = { held: Promise.resolve(), answers: 0 };
  const fetch: typeof wire.fetch = async (input, init) => {
    const { held } = pushed;
    const answer = await wire.fetch(input, init);
    if (!String(input).endsWith("/sync/push")) return answer;
    pushed.answers += 1;
    await held;
    return answer;
  };
  const client = clientOf(place, { fetch, live: "long-poll" });
  await client.start();
  const storage = wrappedValidateAjvStorage({ storage: getRxStorageMemory() });
  const database = await createRxDatabase({ name: unique("db"), storage, multiInstance: false });
  const { requests } = await database.addCollections<{ requests: Request }>({ requests: { schema } });
  opened.push({ database, client });
  const scope = { type: "workspace" as const, id: place.id };
  const collection = requests as never as RxCollection<Request>;
  const replication = replicateScope({
    client,
    collection,
    scope,
    entityType: "request",
    retryTime: 50,
    live,
  });
  const errors: unknown[] = [];
  replication.error$.subscribe((error) => errors.push(error));
  await replication.awaitInitialReplication();
  const names = async () => (await collection.find().exec()).map(({ id, name }) => `${id} ${name}`).sort();
  return { collection, names, errors, wire, client, pushed };
}

type Side = Awaited<ReturnType<typeof side>>;

/** Until its stream has read the log to the end, and RxDB has been told: the next read begins behind it. */
async function hasRead({ wire }: Side, place: OwnedWorkspace): Promise<void> {
  const answer = await readScope(place.owner, place, workspaceScope(place), "?offset=-1");
  const end = answer.headers.get("stream-next-offset");
  await poll("the log's end to be read", async () => {
    return wire.sent.some(({ query }) => new URLSearchParams(query).get("offset") === end);
  });
}

/** Holds the answers to pushes back until the function is called. */
function hold({ pushed }: Side): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  pushed.held = promise;
  return resolve;
}

async function change({ collection }: Side, id: string, name: string | null): Promise<void> {
  const found = await collection.findOne(id).exec(true);
  await (name === null ? found.remove() : found.incrementalPatch({ name }));
}

test("what is deleted on one side goes on the other, also where both were at it", async () => {
  const place = await home();
  const [one, other] = [await side(place), await side(place)];
  await one.collection.bulkInsert(["a", "b", "c"].map((id) => ({ id, name: id })));
  await poll("all three", async () => (await other.names()).length === 3);
  await (await one.collection.findOne("a").exec(true)).remove();
  await poll("the first to go", async () => (await other.names()).join() === "b b,c c");
  // Offline edits of what the other side deletes meanwhile: the delete stands, the edit is kept as a divergence.
  other.wire.isDown = true;
  await (await other.collection.findOne("b").exec(true)).incrementalPatch({ name: "mine" });
  await (await one.collection.findOne("b").exec(true)).remove();
  const last = async () => (await catchUp(place.owner, place, workspaceScope(place))).at(-1);
  await poll("the delete", async () => (await last())?.headers.version === 5);
  other.wire.isDown = false;
  await poll("the second to go", async () => (await other.names()).join() === "c c");
  expect(await Array.fromAsync(one.client.divergences.list())).toMatchObject([{ entity: { id: "b" } }]);
  // Who comes now never had them.
  const late = await side(place, false);
  expect(await late.names()).toEqual(["c c"]);
  expect([...one.errors, ...late.errors].map(String)).toEqual([]);
  expect(other.errors.map(String).filter((error) => error.includes("validat"))).toEqual([]);
});

test("a delete that is read while the answer to an own one is on its way deletes what that brings back", async () => {
  const place = await home();
  const [one, other] = [await side(place), await side(place)];
  // RxDB pushes in turn: what is inserted and removed during a push goes out as a delete of what it never saw.
  const first = hold(other);
  await other.collection.insert({ id: "own", name: "own" });
  await poll("the first push", async () => other.pushed.answers === 1);
  await one.collection.insert({ id: "a", name: "theirs" });
  await poll("theirs", async () => one.client.state.last_acknowledged === 1);
  await other.collection.insert({ id: "a", name: "mine" });
  await change(other, "a", null);
  const second = hold(other);
  first();
  await poll("the second push", async () => other.pushed.answers === 2);
  await change(one, "a", null);
  await poll("the delete", async () => one.client.state.last_acknowledged === 2);
  await hasRead(other, place);
  const met = next(other.client, "divergence");
  second();
  expect(await met).toMatchObject({ outcome: { value: { name: "theirs" } } });
  await one.collection.insert({ id: "b", name: "b" });
  await poll("what is left", async () => (await other.names()).join() === "b b,own own");
});

test("what comes and goes while RxDB waits for a push is not there afterwards", async () => {
  const place = await home();
  const [one, other] = [await side(place), await side(place)];
  const release = hold(other);
  await other.collection.insert({ id: "own", name: "own" });
  await poll("the push", async () => other.pushed.answers === 1);
  await one.collection.insert({ id: "a", name: "a" });
  await poll("it", async () => one.client.state.last_acknowledged === 1);
  await hasRead(other, place);
  await change(one, "a", null);
  await poll("the delete", async () => one.client.state.last_acknowledged === 2);
  await hasRead(other, place);
  await one.collection.insert({ id: "b", name: "b" });
  release();
  await poll("what is left", async () => (await other.names()).join() === "b b,own own");
  expect(other.errors).toEqual([]);
});
