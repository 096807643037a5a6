/** RxDB in two tabs of one browser: one replicates for both, and the other goes on when it is closed. */
import { addRxPlugin, createRxDatabase, type RxCollection, type RxDatabase } from "rxdb";
import { disableWarnings, RxDBDevModePlugin } from "rxdb/plugins/dev-mode";
import { getRxStorageMemory } from "rxdb/plugins/storage-memory";
import { wrappedValidateAjvStorage } from "rxdb/plugins/validate-ajv";
import { expect, test } from "vitest";
import { home } from "../../../tests/edge/actors.ts";
import { catchUp, device, mutation, push, workspaceScope } from "../../../tests/edge/pushes.ts";
import { poll } from "../../../tests/edge/world.ts";
import { replicateScope } from "../src/rxdb/index.ts";
import { clientOf, indexedDbDisk, network, pushes } from "./place.ts";

// Only then does RxDB let one process have two tabs.
disableWarnings();
addRxPlugin(RxDBDevModePlugin);

interface Request {
  id: string;
  name?: string;
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
  required: ["id"],
} as const;

test("two tabs of one database send each change once, and the second goes on where the first was closed", async () => {
  const place = await home();
  const [disk, storage] = [indexedDbDisk(), wrappedValidateAjvStorage({ storage: getRxStorageMemory() })];
  const name = `tabs-${crypto.randomUUID()}`;
  const scope = { type: "workspace" as const, id: place.id };
  const tab = async () => {
    const wire = network();
    const client = clientOf(place, { store: await disk.open(), fetch: wire.fetch });
    await client.start();
    const database: RxDatabase = await createRxDatabase({
      name,
      storage,
      multiInstance: true,
      ignoreDuplicate: true,
    });
    const { requests } = await database.addCollections({ requests: { schema } });
    const collection = requests as RxCollection<Request>;
    replicateScope({ client, collection, scope, entityType: "request", retryTime: 50 });
    return { client, database, collection, wire };
  };
  const [one, other] = [await tab(), await tab()];
  const log = () => catchUp(place.owner, place, workspaceScope(place));
  await one.collection.insert({ id: "a", name: "one" });
  await other.collection.insert({ id: "b", name: "other" });
  await poll("both changes", async () => (await log()).length === 2);
  const leader = one.database.isLeader() ? one : other;
  const follower = leader === one ? other : one;
  expect(follower.database.isLeader()).toBe(false);
  await leader.database.close();
  leader.client.close();
  await (await follower.collection.findOne("a").exec(true)).incrementalPatch({ name: "later" });
  await poll("the change after it", async () => (await log()).length === 3);
  const writer = device(place.owner, place);
  await push(writer, [
    mutation(writer, scope, { entity: { type: "request", id: "c" }, value: { name: "theirs" } }),
  ]);
  await poll(
    "what others write",
    async () => (await follower.collection.findOne("c").exec())?.name === "theirs",
  );
  const written = (await log()).map(({ key, value }) => `${key} ${(value as Request).name}`);
  expect(written.slice(0, 2).sort()).toEqual(["request/a one", "request/b other"]);
  expect(written.slice(2)).toEqual(["request/a later", "request/c theirs"]);
  expect([one.wire, other.wire].flatMap((wire) => pushes(wire).flat()).sort()).toEqual([1, 2, 3]);
  await follower.database.close();
  follower.client.close();
});
