/** Following a scope: to the end of its log, on as it grows, and through what may happen meanwhile. */
import { expect, test } from "vitest";
import { expectStatus, home, nowhere, type OwnedWorkspace } from "../../../tests/edge/actors.ts";
import { sql, uuidOf } from "../../../tests/edge/database.ts";
import { device, mutation, push, workspaceScope } from "../../../tests/edge/pushes.ts";
import { poll, world } from "../../../tests/edge/world.ts";
import type { Timer } from "../src/index.ts";
import { clientOf, type Disk, indexedDbDisk, network, next, quickTimer } from "./place.ts";

const request = (id: string) => ({ type: "request", id });

test("a log of several chunks is read to its end, and from there after a restart", async () => {
  const [place, disk, wire] = [await home(), indexedDbDisk(), network()];
  const [scope, writer] = [workspaceScope(place), device(place.owner, place)];
  const value = { filler: "x".repeat(200_000) };
  for (let n = 0; n < 3; n += 1) {
    expectStatus(
      await push(
        writer,
        Array.from({ length: 4 }, () => mutation(writer, scope, { value })),
      ),
      200,
    );
  }
  const first = clientOf(place, { store: await disk.open() });
  await first.scope("workspace", place.id).follow().ready;
  expect(await first.scope("workspace", place.id).list("request")).toHaveLength(12);
  first.close();
  const second = clientOf(place, { store: await disk.open(), fetch: wire.fetch });
  expect(await second.scope("workspace", place.id).list("request")).toHaveLength(12);
  await second.scope("workspace", place.id).follow().ready;
  expect(new URL(`http://x${wire.sent[0]?.path}${wire.sent[0]?.query}`).searchParams.get("offset")).toBe(
    "1_0000000000000012",
  );
  second.close();
});

test("two tabs that load a scope for the first time at once lose nothing of it, also if one is closed meanwhile", async () => {
  const [place, disk] = [await home(), indexedDbDisk()];
  const [scope, writer] = [workspaceScope(place), device(place.owner, place)];
  // Three pages of a snapshot.
  const value = { filler: "x".repeat(200_000) };
  for (let n = 0; n < 3; n += 1) {
    const four = Array.from({ length: 4 }, () => mutation(writer, scope, { value }));
    expectStatus(await push(writer, four), 200);
  }
  const [one, two] = [await tab(place, disk), await tab(place, disk)];
  two.client.scope("workspace", place.id).follow();
  await poll("the second's first question", async () => two.asked() === 1);
  const { ready } = one.client.scope("workspace", place.id).follow();
  one.answer(2);
  await poll("the first's third question", async () => one.asked() === 3);
  two.answer(1);
  await poll("the second's second question", async () => two.asked() === 2);
  two.client.close();
  one.answer(10);
  await ready;
  one.client.close();
  const after = clientOf(place, { store: await disk.open() });
  await after.scope("workspace", place.id).follow().ready;
  expect(await after.scope("workspace", place.id).list("request")).toHaveLength(12);
  after.close();
});

/** A client on this disk whose reads of the log are answered when the test says so. */
async function tab(place: OwnedWorkspace, disk: Disk) {
  const gates = Array.from({ length: 20 }, () => Promise.withResolvers<void>());
  let [asked, answered] = [0, 0];
  const held: typeof fetch = async (input, init) => {
    const gate = new URL(String(input)).pathname.includes("/sync/workspace/") ? gates[asked++] : undefined;
    const answer = await fetch(input, init);
    await gate?.promise;
    return answer;
  };
  const answer = (count: number) => {
    for (const gate of gates.slice(answered, answered + count)) gate.resolve();
    answered += count;
  };
  const client = clientOf(place, { store: await disk.open(), fetch: held });
  return { client, answer, asked: () => asked };
}

test("what others write comes by itself", async () => {
  const [place, wire, timer] = [await home(), network(), quickTimer()];
  const [scope, writer] = [workspaceScope(place), device(place.owner, place)];
  const client = clientOf(place, { fetch: wire.fetch, timer });
  await client.scope("workspace", place.id).follow().ready;
  for (let n = 1; n <= 3; n += 1) {
    const changed = next(client, "change");
    expectStatus(
      await push(writer, [
        mutation(writer, scope, { entity: request("r"), base_version: n - 1, value: { n } }),
      ]),
      200,
    );
    expect(await changed).toEqual({ scope, entities: [request("r")] });
    expect((await client.scope("workspace", place.id).get(request("r"))).value).toEqual({ n });
  }
  client.close();
  // It waits for answers, not between them: one read to the end, and one for each change.
  expect([timer.waits, wire.sent.length <= 6]).toEqual([[], true]);
  expect(wire.sent.at(-1)?.query).toMatch(/^\?cursor=\d+&live=long-poll&offset=1_\d{16}$/);
});

test("a place that the log does not hold any more is left, and all is read again", async () => {
  const place = await home();
  const [scope, writer] = [workspaceScope(place), device(place.owner, place)];
  expectStatus(await push(writer, [mutation(writer, scope, { entity: request("a"), value: { n: 1 } })]), 200);
  const client = clientOf(place);
  const documents = client.scope("workspace", place.id);
  const followed = documents.follow();
  await followed.ready;
  followed.stop();
  // As a restore does.
  const ws = uuidOf(place.id);
  await sql("update sync_scope set generation = generation + 1 where workspace_id = $1", [ws]);
  await sql("delete from sync_change where workspace_id = $1", [ws]);
  await sql("delete from sync_state where workspace_id = $1", [ws]);
  await sql("update sync_scope set epoch = 0 where workspace_id = $1", [ws]);
  await documents.put(request("mine"), { n: 2 });
  await documents.follow().ready;
  expect((await documents.list()).map(({ entity, isPending }) => [entity.id, isPending])).toEqual([
    ["mine", true],
  ]);
  await client.start();
  await poll("its own write", async () => (await documents.get(request("mine"))).server.version === 1);
  client.close();
});

test("what was deleted elsewhere before the first read is not shown after it", async () => {
  const place = await home();
  const [scope, writer] = [workspaceScope(place), device(place.owner, place)];
  const client = clientOf(place);
  const documents = client.scope("workspace", place.id);
  await client.start();
  for (const id of ["kept", "gone"]) await (await documents.put(request(id), { id })).outcome;
  const { value: _, ...gone } = mutation(writer, scope, {
    entity: request("gone"),
    op: "delete",
    base_version: 2,
  });
  expectStatus(await push(writer, [gone]), 200);
  expect(await documents.list()).toHaveLength(2);
  await documents.follow().ready;
  expect((await documents.list()).map(({ entity }) => entity.id)).toEqual(["kept"]);
  expect((await documents.get(request("gone"))).value).toBeNull();
  client.close();
});

test("the state tells how far behind a client is, and a refresh asks the server", async () => {
  const [place, wire] = [await home(), network()];
  const [scope, writer] = [workspaceScope(place), device(place.owner, place)];
  expectStatus(await push(writer, [mutation(writer, scope)]), 200);
  const client = clientOf(place, {
    fetch: (input, init) => {
      const isRead = new URL(String(input)).pathname.includes("/sync/workspace/");
      return isRead && wire.isDown
        ? Promise.reject(new TypeError("fetch failed"))
        : network().fetch(input, init);
    },
  });
  await client.start();
  await client.scope("workspace", place.id).follow().ready;
  expect(client.state.behind).toBe(0);
  wire.isDown = true;
  expectStatus(await push(writer, [mutation(writer, scope), mutation(writer, scope)]), 200);
  // A read that waits already may still bring them.
  const behind = (await client.refresh()).behind;
  expect([0, 2]).toContain(behind);
  expectStatus(
    await push(writer, [mutation(writer, scope), mutation(writer, scope), mutation(writer, scope)]),
    200,
  );
  expect((await client.refresh()).behind).toBeGreaterThanOrEqual(3);
  wire.isDown = false;
  await poll("it to catch up", async () => client.state.behind === 0);
  client.close();
});

test("a read after a write of the tenant shows nothing older, and a revision that is not there is forgotten", async () => {
  const [place, wire] = [await home(), network()];
  const revision = "x-drey-revision";
  const client = clientOf(place, {
    // As a workspace that is restored afterwards: its revisions of today will not be there tomorrow.
    fetch: async (input, init) => {
      const answer = await wire.fetch(input, init);
      const headers = new Headers(answer.headers);
      if (init?.method === "POST") headers.set(revision, "999999");
      return new Response(answer.body, { status: answer.status, headers });
    },
  });
  await client.refresh();
  expect(client.state.open_divergences).toBe(0);
  expect(wire.sent.map(({ method, headers }) => [method, headers.get(revision)])).toEqual([
    ["POST", null],
    ["GET", "999999"],
    ["GET", null],
  ]);
  client.close();
});

test("whoever waits to try again tries at once when told that the network is back", async () => {
  const [place, wire] = [await home(), network()];
  const waiting: AbortSignal[] = [];
  const timer: Timer = {
    ...quickTimer(),
    wait: (_, signal) =>
      new Promise((resolve) => {
        waiting.push(signal);
        signal.addEventListener("abort", () => resolve());
      }),
  };
  wire.isDown = true;
  const client = clientOf(place, { fetch: wire.fetch, timer });
  await client.start();
  const { outcome } = await client.scope("workspace", place.id).put(request("a"), { n: 1 });
  const { ready } = client.scope("workspace", place.id).follow();
  await poll("both to wait", async () => waiting.length === 2);
  expect(client.state.status).toBe("waiting");
  wire.isDown = false;
  client.resume();
  expect(await outcome).toMatchObject({ outcome: "applied" });
  await ready;
  client.close();
});

test("a follower whose credential expires goes on with the next one", async () => {
  const place = await home();
  const token = await world().token({ sub: place.owner.sub, email: place.owner.email, expires_in: -60 });
  const client = clientOf(place, { token });
  const refused = next(client, "credential");
  const followed = client.scope("workspace", place.id).follow();
  expect(await refused).toMatchObject({ code: "token-expired" });
  client.setToken(place.owner.token);
  await followed.ready;
  client.close();
});

test("a scope that is not there is told, not asked for again", async () => {
  const [place, wire] = [await home(), network()];
  const client = clientOf(place, { fetch: wire.fetch });
  const told = next(client, "unreadable");
  const { ready } = client.scope("project", nowhere("prj")).follow();
  await expect(ready).rejects.toMatchObject({ status: 404, code: "not-found" });
  expect(await told).toMatchObject({ scope: { type: "project" }, problem: { code: "not-found" } });
  const { length } = wire.sent;
  await client.refresh();
  expect(wire.sent.length).toBe(length + 2);
  client.close();
});
