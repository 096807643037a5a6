/**
 * Snapshots of a scope: the state at an epoch in pages that never change, from which the log goes on.
 */
import { expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, member, trace, type User, user } from "./actors.ts";
import { sql, uuidOf } from "./database.ts";
import { apiKey, program } from "./keys.ts";
import { neonCounters } from "./neighbours.ts";
import { catchUp, device, mutation, push, readScope, type Scope, workspaceScope } from "./pushes.ts";
import type { StateMessage } from "./shapes.ts";

/** All pages from `offset` up to where the log goes on, as a client follows them. */
async function load(caller: User, place: { id: string }, scope: Scope, offset: string, traceparent?: string) {
  const headers: Record<string, string> = traceparent ? { traceparent } : {};
  const messages: StateMessage[] = [];
  const pages: string[] = [];
  let next = offset;
  while (next.includes("_snapshot")) {
    const page = expectStatus(await readScope(caller, place, scope, `?offset=${next}`, headers), 200);
    expect(page.headers.get("cache-control")).toBe("private, max-age=31536000, immutable");
    expect(page.headers.get("stream-up-to-date")).toBeNull();
    expect(Buffer.byteLength(page.text)).toBeLessThanOrEqual(1024 * 1024 + 2);
    pages.push(page.text);
    messages.push(...page.body);
    next = String(page.headers.get("stream-next-offset"));
  }
  return { messages, pages, next };
}

async function newest(caller: User, place: { id: string }, scope: Scope): Promise<string> {
  const sent = await readScope(caller, place, scope, "?offset=snapshot");
  expect(sent.status, sent.text).toBe(307);
  expect(sent.headers.get("cache-control")).toBe("private, max-age=5");
  return String(new URL(String(sent.headers.get("location")), caller.api).searchParams.get("offset"));
}

test("a snapshot is the state without its history, and the log goes on from it", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const make = (id: string) => mutation(one, scope, { entity: { type: "request", id }, value: { name: id } });
  expectStatus(await push(one, ["b", "a", "c"].map(make)), 200);
  const change = { entity: { type: "request", id: "a" }, base_version: 2, value: { name: "changed" } };
  const remove = { entity: { type: "request", id: "c" }, base_version: 3, op: "delete" as const };
  expectStatus(await push(one, [mutation(one, scope, change)]), 200);
  const { value: _none, ...removal } = mutation(one, scope, remove);
  expectStatus(await push(one, [removal]), 200);
  const offset = await newest(place.owner, place, scope);
  expect(offset).toBe("1_0000000000000005_snapshot");
  const { messages, next } = await load(place.owner, place, scope, offset);
  expect(messages.map(({ key, value }) => [key, value])).toEqual([
    ["request/a", { name: "changed" }],
    ["request/b", { name: "b" }],
  ]);
  expect(messages[0]?.headers).toMatchObject({ operation: "insert", client_id: one.clientId, version: 4 });
  expect(next).toBe("1_0000000000000005");
  expect(expectStatus(await readScope(place.owner, place, scope, `?offset=${next}`), 200).body).toEqual([]);
});

test("the pages of a snapshot stay the same to the byte, whatever is written since", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const value = { filler: "x".repeat(200_000) };
  const ids = Array.from({ length: 12 }, (_, index) => `r${index}`);
  for (const half of [ids.slice(0, 4), ids.slice(4, 8), ids.slice(8)]) {
    const all = half.map((id) => mutation(one, scope, { entity: { type: "request", id }, value }));
    expectStatus(await push(one, all), 200);
  }
  const offset = await newest(place.owner, place, scope);
  const before = await load(place.owner, place, scope, offset);
  expect(before.pages.length).toBeGreaterThan(1);
  expect(before.messages.length).toBe(12);
  const again = ids.slice(0, 3).map((id, index) =>
    mutation(one, scope, {
      entity: { type: "request", id },
      base_version: index + 1,
      value: { name: "later" },
    }),
  );
  expectStatus(await push(one, again), 200);
  const after = await load(place.owner, place, scope, offset);
  expect(after.pages).toEqual(before.pages);
  expect(after.next).toBe(before.next);
  const log = expectStatus(await readScope(place.owner, place, scope, `?offset=${after.next}`), 200).body;
  expect(log.map((message) => message.headers.version)).toEqual([13, 14, 15]);
  // Snapshot and log together are what the log alone says.
  const state = new Map((await catchUp(place.owner, place, scope)).map(({ key, value }) => [key, value]));
  const own = new Map([...after.messages, ...log].map(({ key, value }) => [key, value]));
  expect([...own].sort()).toEqual([...state].sort());
});

test("a first load of ten thousand documents reads each once, whatever their history", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const entity = (index: number) => ({ type: "request", id: `r${String(index).padStart(5, "0")}` });
  for (let from = 0; from < 10_000; from += 500) {
    const make = (_: unknown, index: number) => mutation(one, scope, { entity: entity(from + index) });
    expectStatus(await push(one, Array.from({ length: 500 }, make)), 200);
  }
  for (let from = 0; from < 5_000; from += 500) {
    const change = (_: unknown, index: number) =>
      mutation(one, scope, {
        entity: entity(from + index),
        base_version: from + index + 1,
        value: { name: "changed" },
      });
    expectStatus(await push(one, Array.from({ length: 500 }, change)), 200);
  }
  const offset = await newest(place.owner, place, scope);
  const mine = trace();
  const { messages, pages, next } = await load(place.owner, place, scope, offset, mine.traceparent);
  expect(pages.length).toBe(10);
  expect((await neonCounters(mine.id)).requests).toBe(10);
  expect(messages.map(({ key }) => key)).toEqual(
    Array.from({ length: 10_000 }, (_, index) => `request/${entity(index).id}`),
  );
  expect(messages.filter(({ headers }) => headers.version > 10_000).length).toBe(5_000);
  expect(next).toBe("1_0000000000015000");
  const tail = expectStatus(await readScope(place.owner, place, scope, `?offset=${next}`), 200);
  expect([tail.body, tail.headers.get("stream-up-to-date")]).toEqual([[], "true"]);
  // The second load is not even a query.
  const again = trace();
  await load(place.owner, place, scope, offset, again.traceparent);
  expect((await neonCounters(again.id)).requests).toBe(0);
}, 120_000);

test("where the log has been truncated a snapshot is whole or gone", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const write = async (id: string, base_version: number | null) =>
    expectStatus(
      await push(one, [mutation(one, scope, { entity: { type: "request", id }, base_version })]),
      200,
    );
  await write("a", null);
  await write("b", null);
  await write("a", 1);
  await write("c", null);
  const workspace = [uuidOf(place.id)];
  await sql("update sync_scope set archived_through = 2, floor = 2 where workspace_id = $1", workspace);
  await sql("delete from sync_change where workspace_id = $1 and server_epoch <= 2", workspace);
  const read = (offset: string) => readScope(place.owner, place, scope, `?offset=${offset}`);
  const at = (epoch: number) => `1_${String(epoch).padStart(16, "0")}`;
  const keys = async (epoch: number) =>
    expectStatus(await read(`${at(epoch)}_snapshot`), 200).body.map(({ key, headers }) => [
      key,
      headers.version,
    ]);
  expect(await keys(4)).toEqual([
    ["request/a", 3],
    ["request/b", 2],
    ["request/c", 4],
  ]);
  expect(await keys(3)).toEqual([
    ["request/a", 3],
    ["request/b", 2],
  ]);
  // What stood in place of the newer `a` is known no more; below the floor the log would not go on.
  for (const epoch of [2, 1]) expectProblem(await read(`${at(epoch)}_snapshot`), 410, "offset-gone");
  for (const offset of ["-1", at(1), `${at(1)}&live=long-poll`, `${at(1)}&live=sse`]) {
    const gone = expectProblem(await read(offset), 410, "offset-gone");
    expect(gone).toMatchObject({ snapshot: expect.stringMatching(/\?offset=snapshot$/) });
  }
  expect(expectStatus(await read(at(2)), 200).body.map(({ headers }) => headers.version)).toEqual([3, 4]);
});

test("a page is revalidated by its tag", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  const query = `?offset=${await newest(place.owner, place, scope)}`;
  const page = expectStatus(await readScope(place.owner, place, scope, query), 200);
  const tag = String(page.headers.get("etag"));
  const same = await readScope(place.owner, place, scope, query, { "if-none-match": tag });
  expect([same.status, same.text]).toEqual([304, ""]);
  expect(same.headers.get("cache-control")).toBe("private, max-age=31536000, immutable");
});

test("what is refused", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  const read = (caller: User, offset: string) => readScope(caller, place, scope, `?offset=${offset}`);
  for (const offset of ["_snapshot", "1_1_snapshot", "1_0000000000000001_snapshot.x"]) {
    expectProblem(await read(place.owner, offset), 400, "invalid-offset");
  }
  for (const offset of ["1_0000000000000009_snapshot", "2_0000000000000001_snapshot", "1_0000000000000009"]) {
    const gone = expectProblem(await read(place.owner, offset), 410, "offset-gone");
    expect(gone).toMatchObject({
      snapshot: `/v1/workspaces/${place.id}/sync/workspace/${place.id}?offset=snapshot`,
    });
  }
  for (const offset of ["snapshot", "1_0000000000000001_snapshot"]) {
    expectProblem(await read(await user(), offset), 404, "not-found");
    const path = `/v1/workspaces/${place.id}/sync/workspace/${place.id}?offset=${offset}`;
    expectProblem(await call(null, "GET", path), 401, "unauthenticated");
  }
  const key = program(await apiKey(place, { scopes: ["read"] }));
  expectProblem(await read(key, "snapshot"), 403, "insufficient-scope");
  const own = { type: "user", id: place.owner.id };
  const admin = await member(place, "admin");
  expectProblem(await readScope(admin, place, own, "?offset=snapshot"), 404, "not-found");
});
