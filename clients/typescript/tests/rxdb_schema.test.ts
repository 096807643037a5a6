/** RxDB with a schema that is enforced: what is deleted is held to it as well, or it would stay on the other side for ever. */
import { createRxDatabase, type RxCollection, type RxDatabase } from "rxdb";
import { getRxStorageMemory } from "rxdb/plugins/storage-memory";
import { wrappedValidateAjvStorage } from "rxdb/plugins/validate-ajv";
import { afterEach, expect, test } from "vitest";
import { home, type OwnedWorkspace, unique } from "../../../tests/edge/actors.ts";
import { catchUp, workspaceScope } from "../../../tests/edge/pushes.ts";
import { poll } from "../../../tests/edge/world.ts";
import type { Client } from "../src/index.ts";
import { replicateScope } from "../src/rxdb/index.ts";
import { clientOf, network } from "./place.ts";

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
  const client = clientOf(place, { fetch: wire.fetch });
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
  return { collection, names, errors, wire, client };
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
