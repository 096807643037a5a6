/** `GET /v1/workspaces/{ws}/sync/{scope_type}/{scope_id}`: the log of a scope, as a stream of State messages. */
import { expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, member, nowhere, project, trace, user } from "./actors.ts";
import { neonCounters } from "./neighbours.ts";
import { catchUp, device, mutation, push, readScope, workspaceScope } from "./pushes.ts";
import { poll, world } from "./world.ts";

test("what was pushed is read as State messages, value for value", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const sent = mutation(one, scope, { value: { name: "Grüße", nested: { list: [1, 2.5, null, true] } } });
  expectStatus(await push(one, [sent]), 200);
  const viewer = await member(place, "viewer");
  const answer = expectStatus(await readScope(viewer, place, scope, "?offset=-1"), 200);
  expect(answer.body).toEqual([
    {
      type: sent.entity.type,
      key: `${sent.entity.type}/${sent.entity.id}`,
      value: sent.value,
      headers: {
        operation: "insert",
        txid: expect.any(String),
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        client_id: one.clientId,
        mutation_id: 1,
        version: 1,
      },
    },
  ]);
  expect(answer.headers.get("stream-next-offset")).toBe("1_0000000000000001");
  expect(answer.headers.get("stream-up-to-date")).toBe("true");
  expect(answer.headers.get("etag")).toMatch(/^"1:\d+:\d+"$/);
});

test("a value keeps its bytes: spaces, number forms, escapes, key order", async () => {
  const place = await home();
  const one = device(place.owner, place);
  const scope = workspaceScope(place);
  const raw = '{ "b" : 1.50,\n  "a":1e3, "dup\\u00e9":"\\/", "big":12345678901234567890 }';
  const text = JSON.stringify({
    client_id: one.clientId,
    mutations: [mutation(one, scope, { value: "RAW" })],
  });
  const path = `/v1/workspaces/${place.id}/sync/push`;
  expectStatus(await call(place.owner, "POST", path, text.replace('"RAW"', raw)), 200);
  expect((await readScope(place.owner, place, scope)).text).toContain(raw);
});

test("reading goes on from the offset that the last answer gave", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, scope), mutation(one, scope)]), 200);
  const first = expectStatus(await readScope(place.owner, place, scope), 200);
  const offset = String(first.headers.get("stream-next-offset"));
  const tail = expectStatus(await readScope(place.owner, place, scope, `?offset=${offset}`), 200);
  expect(tail.body).toEqual([]);
  expect(tail.headers.get("stream-next-offset")).toBe(offset);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  const next = expectStatus(await readScope(place.owner, place, scope, `?offset=${offset}`), 200);
  expect(next.body.map((message) => message.headers.version)).toEqual([3]);
});

test("now is the tail", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  const answer = expectStatus(await readScope(place.owner, place, scope, "?offset=now"), 200);
  expect(answer.body).toEqual([]);
  expect(answer.headers.get("stream-next-offset")).toBe("1_0000000000000001");
  expect(answer.headers.get("stream-up-to-date")).toBe("true");
});

test("a scope whose thing exists but was never written is empty, one without a thing is 404", async () => {
  const place = await home();
  const made = await project(place);
  const empty = expectStatus(await readScope(place.owner, place, { type: "project", id: made.id }), 200);
  expect(empty.body).toEqual([]);
  expect(empty.headers.get("stream-next-offset")).toBe("1_0000000000000000");
  for (const scope of [
    { type: "project", id: nowhere("prj") },
    { type: "workspace", id: nowhere("ws") },
    { type: "galaxy", id: "x" },
  ]) {
    expectProblem(await readScope(place.owner, place, scope), 404, "not-found");
  }
});

test.each(["banana", "1", "1_", "_1", "1_1", "-2", "1_000000000000000x", "1_00000000000000001", ""])(
  "the offset %j is malformed",
  async (offset) => {
    const place = await home();
    const answer = await readScope(place.owner, place, workspaceScope(place), `?offset=${offset}`);
    expectProblem(answer, 400, "invalid-offset");
  },
);

test("an offset of another generation or past the tail is gone", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  for (const offset of [
    "2_0000000000000000",
    "7_0000000000000003",
    "1_0000000000000002",
    "1_0000000000000100",
  ]) {
    expectProblem(await readScope(place.owner, place, scope, `?offset=${offset}`), 410, "offset-gone");
  }
  expectStatus(await readScope(place.owner, place, scope, "?offset=1_0000000000000001"), 200);
});

test("a full chunk is closed: immutable, identical for ever, and a repeated read costs no query", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  for (let n = 0; n < 6; n += 1) {
    const value = { filler: "x".repeat(200_000) };
    expectStatus(
      await push(
        one,
        Array.from({ length: 4 }, () => mutation(one, scope, { value })),
      ),
      200,
    );
  }
  // The beginning names no generation: a restored scope begins otherwise.
  const start = expectStatus(await readScope(place.owner, place, scope, "?offset=-1"), 200);
  expect(start.headers.get("cache-control")).toBe("private, no-cache");
  const offset = "?offset=1_0000000000000000";
  const first = expectStatus(await readScope(place.owner, place, scope, offset), 200);
  expect(first.text).toBe(start.text);
  expect(first.headers.get("cache-control")).toBe("private, max-age=31536000, immutable");
  expect(first.headers.get("stream-up-to-date")).toBeNull();
  expect(Buffer.byteLength(first.text)).toBeLessThanOrEqual(1024 * 1024 + 2);
  // It is too large for an isolate's memory: its body goes from the Cache API to the reader, unread.
  const { again, requests } = await poll("a HIT of the chunk", async () => {
    const mine = trace();
    const again = await readScope(place.owner, place, scope, offset, { traceparent: mine.traceparent });
    if (again.headers.get("cache-status") !== "drey; hit; detail=cache-api") return undefined;
    return { again, requests: (await neonCounters(mine.id)).requests };
  });
  expect(expectStatus(again, 200).text).toBe(first.text);
  expect(again.headers.get("cache-control")).toBe("private, max-age=31536000, immutable");
  expect(requests).toBe(0);
  const etag = String(first.headers.get("etag"));
  expect(again.headers.get("etag")).toBe(etag);
  const held = await readScope(place.owner, place, scope, offset, { "if-none-match": etag });
  expect([held.status, held.text, held.headers.get("etag")]).toEqual([304, "", etag]);
  const all = await catchUp(place.owner, place, scope);
  expect(all.map((message) => message.headers.version)).toEqual(
    Array.from({ length: 24 }, (_, index) => index + 1),
  );
});

test("a chunk that has been closed since is not the one its reader holds", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  // Five of them fill a chunk to less than its cap, the sixth does not fit.
  const value = { filler: "x".repeat(200_000) };
  const fill = (count: number) => Array.from({ length: count }, () => mutation(one, scope, { value }));
  expectStatus(await push(one, fill(3)), 200);
  expectStatus(await push(one, fill(2)), 200);
  const offset = "?offset=1_0000000000000000";
  const open = expectStatus(await readScope(place.owner, place, scope, offset), 200);
  expect([open.body.length, open.headers.get("stream-up-to-date")]).toEqual([5, "true"]);
  expectStatus(await push(one, fill(1)), 200);
  const condition = { "if-none-match": String(open.headers.get("etag")) };
  const closed = expectStatus(await readScope(place.owner, place, scope, offset, condition), 200);
  expect([closed.body.length, closed.headers.get("stream-up-to-date")]).toEqual([5, null]);
});

test("the tail is never read from a copy: what was pushed is there at once, on every isolate, from every offset", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  for (let epoch = 1; epoch <= 4; epoch += 1) {
    const pushed = expectStatus(await push(one, [mutation(one, scope)]), 200);
    expect(pushed.body.scopes[0]).toMatchObject({ epoch });
    for (const api of world().apis) {
      for (const [from, held] of [
        ["-1", 0],
        ["1_0000000000000000", 0],
        [`1_${String(epoch - 1).padStart(16, "0")}`, epoch - 1],
        [`1_${String(epoch).padStart(16, "0")}`, epoch],
      ]) {
        const read = await readScope({ ...place.owner, api }, place, scope, `?offset=${from}`);
        const versions = expectStatus(read, 200).body.map((message) => message.headers.version);
        expect([api, from, versions.at(-1) ?? held, versions.length]).toEqual([
          api,
          from,
          epoch,
          epoch - Number(held),
        ]);
        expect(read.headers.get("cache-status")).toBe("drey; fwd=miss");
      }
    }
  }
});

test("the tail is never immutable and answers 304 to its ETag until it moves", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  const first = expectStatus(await readScope(place.owner, place, scope), 200);
  expect(first.headers.get("cache-control")).toBe("private, no-cache");
  const condition = { "if-none-match": String(first.headers.get("etag")) };
  expect((await readScope(place.owner, place, scope, "", condition)).status).toBe(304);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  expect((await readScope(place.owner, place, scope, "", condition)).status).toBe(200);
});

test("a user's own scope is his alone", async () => {
  const place = await home();
  const scope = { type: "user", id: place.owner.id };
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  const colleague = await member(place, "admin");
  expectProblem(await readScope(colleague, place, scope), 404, "not-found");
  expectProblem(await readScope(await user(), place, scope), 404, "not-found");
});

test("HEAD says how long the log is, and nobody keeps it", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, scope), mutation(one, scope)]), 200);
  const path = `/v1/workspaces/${place.id}/sync/${scope.type}/${scope.id}`;
  const head = expectStatus(await call(place.owner, "HEAD", path), 200);
  expect(head.text).toBe("");
  expect(head.headers.get("stream-next-offset")).toBe("1_0000000000000002");
  expect(head.headers.get("cache-control")).toBe("no-store");
  const first = expectStatus(await call(place.owner, "HEAD", `${path}?offset=-1`), 200);
  expect(first.headers.get("etag")).toMatch(/^"1:0:2"$/);
  expectStatus(await call(await user(), "HEAD", path), 404);
});
