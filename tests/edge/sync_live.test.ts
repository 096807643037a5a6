/**
 * Reading a scope's log as it grows: a push through one isolate wakes readers on the others, whatever notices are lost.
 */
import { expect, test } from "vitest";
import {
  atOnce,
  call,
  expectProblem,
  expectStatus,
  home,
  inTurn,
  member,
  project,
  type User,
  user,
} from "./actors.ts";
import { forwarder } from "./forwarder.ts";
import { apiKey } from "./keys.ts";
import { device, mutation, push, readScope, type Scope, workspaceScope } from "./pushes.ts";
import { at, listen, longPoll, pushOne, START, streamPath, versions } from "./streams.ts";
import { poll, world } from "./world.ts";

function feedName(place: { id: string }, scope: Scope): string {
  return `${place.id}/${scope.type}/${scope.id}`;
}

test("a push through one isolate wakes a long-poll and a stream on the two others", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  await using stream = await listen(at(place.owner, 1), place, scope, START);
  expect(stream.status).toBe(200);
  expect(stream.headers.get("content-type")).toBe("text/event-stream");
  expect(stream.headers.get("cache-control")).toBe("no-cache, no-store");
  expect(stream.headers.get("x-content-type-options")).toBe("nosniff");
  expect(stream.headers.get("x-request-id")).toMatch(/\S/);
  await poll("the first control", async () => stream.controls.length > 0);
  expect(stream.controls[0]).toEqual({
    streamNextOffset: START,
    streamCursor: expect.stringMatching(/^\d+$/),
    upToDate: true,
  });
  const waiting = longPoll(at(place.owner, 2), place, scope, START);
  const { one, sent } = await pushOne(place.owner, place, scope);
  const polled = expectStatus(await waiting, 200);
  expect(polled.body).toEqual(await stream.received(1));
  expect(polled.body[0]).toMatchObject({
    type: sent.entity.type,
    key: `${sent.entity.type}/${sent.entity.id}`,
    value: sent.value,
    headers: { operation: "insert", client_id: one.clientId, mutation_id: 1, version: 1 },
  });
  const next = "1_0000000000000001";
  expect(polled.headers.get("stream-next-offset")).toBe(next);
  expect(polled.headers.get("stream-up-to-date")).toBe("true");
  expect(polled.headers.get("stream-cursor")).toMatch(/^\d+$/);
  expect(polled.headers.get("cache-control")).toBe("no-store");
  expect(polled.headers.get("etag")).toBeNull();
  await poll("the control after the data", async () => stream.controls.length > 1);
  expect(stream.controls[1]).toMatchObject({ streamNextOffset: next, upToDate: true });
  // Whoever is behind is answered at once, and the stream goes on.
  expect(versions(expectStatus(await longPoll(at(place.owner, 1), place, scope, START), 200).body)).toEqual([
    1,
  ]);
  expectStatus(await push(one, [mutation(one, scope), mutation(one, scope)]), 200);
  expect(versions(await stream.received(3))).toEqual([1, 2, 3]);
});

test("a stream begins with what its reader has missed", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const { one } = await pushOne(place.owner, place, scope);
  await using stream = await listen(place.owner, place, scope, "-1");
  expect(versions(await stream.received(1))).toEqual([1]);
  await using late = await listen(place.owner, place, scope, "now");
  await poll("where now is", async () => late.controls[0]?.streamNextOffset === "1_0000000000000001");
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  expect(versions(await stream.received(2))).toEqual([1, 2]);
  expect(versions(await late.received(1))).toEqual([2]);
});

test("a value with line breaks comes through a stream as the same value", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  await using stream = await listen(place.owner, place, scope, START);
  const one = device(place.owner, place);
  const text = JSON.stringify({
    client_id: one.clientId,
    mutations: [mutation(one, scope, { value: "RAW" })],
  });
  const raw = '{ "a":\n [1,\r\n 2], "b":"\\n" }';
  const path = `/v1/workspaces/${place.id}/sync/push`;
  expectStatus(await call(place.owner, "POST", path, text.replace('"RAW"', raw)), 200);
  expect((await stream.received(1))[0]?.value).toEqual({ a: [1, 2], b: "\n" });
});

test("a long-poll that nothing comes for is 204, and its cursor always moves on", async () => {
  await using cell = await world().restart({ FEED_LONG_POLL_MS: "50" }, { isolates: 1 });
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  const first = expectStatus(await longPoll(place.owner, place, scope, START), 204);
  expect(first.headers.get("stream-next-offset")).toBe(START);
  expect(first.headers.get("stream-up-to-date")).toBe("true");
  const cursor = String(first.headers.get("stream-cursor"));
  const again = expectStatus(await longPoll(place.owner, place, scope, START, cursor), 204);
  expect(Number(again.headers.get("stream-cursor"))).toBeGreaterThan(Number(cursor));
  const now = expectStatus(await longPoll(place.owner, place, scope, "now"), 204);
  expect(now.headers.get("stream-next-offset")).toBe(START);
});

test("a stream ends after its time, and its reader goes on where it ended", async () => {
  await using cell = await world().restart({ FEED_SSE_MS: "100" }, { isolates: 1 });
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  await using stream = await listen(place.owner, place, scope, START);
  await poll("its end", async () => stream.ended());
  await pushOne(place.owner, place, scope);
  await using next = await listen(
    place.owner,
    place,
    scope,
    String(stream.controls.at(-1)?.streamNextOffset),
  );
  expect(versions(await next.received(1))).toEqual([1]);
});

test.each(["long-poll", "sse"])("%s: what is refused", async (live) => {
  const place = await home();
  const scope = workspaceScope(place);
  const read = (caller: User, query: string, of = scope) => readScope(caller, place, of, query);
  expectProblem(await read(place.owner, `?live=${live}`), 400, "invalid-parameter");
  expectProblem(await read(place.owner, `?live=${live}&offset=banana`), 400, "invalid-offset");
  expectProblem(await read(place.owner, "?live=carrier-pigeon&offset=-1"), 400, "invalid-parameter");
  for (const offset of ["1_0000000000000009", "2_0000000000000000"]) {
    expectProblem(await read(place.owner, `?live=${live}&offset=${offset}`), 410, "offset-gone");
  }
  const query = `?live=${live}&offset=${START}`;
  const path = streamPath(place, scope, query);
  expectProblem(await call(null, "GET", path), 401, "unauthenticated");
  expectProblem(await read(await user(), query), 404, "not-found");
  const other = await home();
  expectProblem(await readScope(other.owner, other, scope, query), 404, "not-found");
  const own = { type: "user", id: place.owner.id };
  expectProblem(await read(await member(place, "admin"), query, own), 404, "not-found");
});

test("a key needs the scope sync, and one of a project reads that project alone", async () => {
  const place = await home();
  const one = await project(place);
  const two = await project(place);
  const read = await apiKey(place, { scopes: ["read"] });
  const sync = await apiKey(place, { scopes: ["sync"], project_id: one.id });
  const get = (key: { key: string }, scope: Scope) =>
    call(null, "GET", streamPath(place, scope, `?live=long-poll&offset=${START}`), undefined, {
      "x-api-key": key.key,
    });
  expectProblem(await get(read, { type: "project", id: one.id }), 403, "insufficient-scope");
  expectProblem(await get(sync, { type: "project", id: two.id }), 404, "not-found");
  expectProblem(await get(sync, workspaceScope(place)), 404, "not-found");
  const waiting = get(sync, { type: "project", id: one.id });
  await pushOne(place.owner, place, { type: "project", id: one.id });
  expectStatus(await waiting, 200);
  // What the key has proved for one scope says nothing of another.
  expectProblem(await get(sync, { type: "project", id: two.id }), 404, "not-found");
});

test("a notice that is lost costs one look", async () => {
  const vars = { FEED_CHECK_MS: "300" };
  await using here = await world().restart(vars, { isolates: 2 });
  // Its own objects: nothing that is pushed there is told here.
  await using there = await world().restart({}, { isolates: 1 });
  const place = await home(here.api);
  const scope = workspaceScope(place);
  await using stream = await listen(at(place.owner, 1, here), place, scope, START);
  const waiting = longPoll(place.owner, place, scope, START);
  const { one } = await pushOne(at(place.owner, 0, there), place, scope);
  expect(versions(expectStatus(await waiting, 200).body)).toEqual([1]);
  expect(versions(await stream.received(1))).toEqual([1]);
  const again = { ...one, user: place.owner };
  expectStatus(await push(again, [mutation(again, scope)]), 200);
  expect(versions(await stream.received(2))).toEqual([1, 2]);
});

test("without feeds a push is answered, catch-up works and a live read is told to come again", async () => {
  await using cell = await world().restart({}, { isolates: 1, broken: "SCOPE_FEED" });
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  await pushOne(place.owner, place, scope);
  expect(versions(expectStatus(await readScope(place.owner, place, scope), 200).body)).toEqual([1]);
  const problem = await readScope(place.owner, place, scope, "?live=long-poll&offset=1_0000000000000001");
  expectProblem(problem, 503, "upstream-unavailable");
  expect(problem.headers.get("retry-after")).toBe("1");
});

test("two hundred and forty readers on two isolates and one push are one read of Postgres", async () => {
  await using neon = await forwarder();
  await using cell = await world().restart(
    { NEON_HTTP_URL: neon.url, FEED_CHECK_MS: "600000" },
    { isolates: 2 },
  );
  const place = await home(cell.api);
  const made = await project(place);
  const scope = { type: "project", id: made.id };
  const { one } = await pushOne(place.owner, place, scope);
  const viewer = await member(place, "viewer");
  const each = (index: number) => at(index % 4 < 2 ? place.owner : viewer, index % 2, cell);
  const offset = "1_0000000000000001";
  const streams = await atOnce(120, (index) => listen(each(index), place, scope, offset));
  for (const stream of streams) await poll("its place", async () => stream.controls.length > 0);
  const polls = atOnce(120, (index) => longPoll(each(index), place, scope, offset));
  const reads = () => neon.count("from sync_change t", made.id);
  // What readers ask before they wait has ended when for a while nobody asks: by looks, because this process counts and may
  // have stood still itself.
  let [before, quiet] = [reads(), 0];
  await poll("the reads of those who came", async () => {
    quiet = reads() === before ? quiet + 1 : 0;
    before = reads();
    return quiet > 25;
  });
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  for (const stream of streams) expect(versions(await stream.received(1))).toEqual([2]);
  for (const answer of await polls) expect(versions(expectStatus(answer, 200).body)).toEqual([2]);
  expect(reads() - before).toBeLessThanOrEqual(1);
  // Everybody comes again, and is known.
  const again = atOnce(120, (index) => longPoll(each(index), place, scope, "1_0000000000000002"));
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  for (const answer of await again) expect(versions(expectStatus(answer, 200).body)).toEqual([3]);
  expect(reads() - before).toBeLessThanOrEqual(2);
  for (const stream of streams) stream.leave();
});

test("who waits is not under way: hundreds of readers in an isolate leave its writes alone", async () => {
  const vars = { MAX_IN_FLIGHT: "20", FEED_MAX_PER_READER: "1000", FEED_CHECK_MS: "100" };
  await using cell = await world().restart(vars, { isolates: 1 });
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  const { one } = await pushOne(place.owner, place, scope);
  const offset = "1_0000000000000001";
  const streams = await inTurn(10, () => atOnce(12, () => listen(place.owner, place, scope, offset)));
  const gone = new AbortController();
  const waiting: Promise<unknown>[] = [];
  for (let some = 0; some < 10; some += 1) {
    const url = `${cell.api}${streamPath(place, scope, `?live=long-poll&offset=${offset}`)}`;
    const headers = { authorization: `Bearer ${place.owner.token}` };
    const sent = atOnce(20, () => fetch(url, { headers, signal: gone.signal }).catch(() => null));
    waiting.push(sent);
    // Whoever comes before these have begun to wait is the next to be refused.
    await poll("room at the door", async () => (await readScope(place.owner, place, scope)).status === 200);
  }
  for (let write = 0; write < 30; write += 1) {
    const next = device(place.owner, place);
    expectStatus(await push(next, [mutation(next, { type: "user", id: place.owner.id })]), 200);
  }
  gone.abort();
  await Promise.all(waiting);
  for (const stream of streams.flat()) {
    expect(stream.status).toBe(200);
    stream.leave();
  }
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  // As many wait as may: were those who have gone away still counted, nobody could wait any more.
  await poll("their places", async () => {
    const answers = await atOnce(12, () => longPoll(place.owner, place, scope, offset));
    return answers.every(({ status }) => status === 200);
  });
});

test("more readers than may wait are refused, and one who goes away makes room", async () => {
  await using cell = await world().restart(
    { FEED_MAX_WAITERS: "3", FEED_MAX_PER_READER: "2", FEED_CHECK_MS: "100" },
    { isolates: 1 },
  );
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  await using one = await listen(place.owner, place, scope, START);
  await using two = await listen(place.owner, place, scope, START);
  expect([one.status, two.status]).toEqual([200, 200]);
  const third = await longPoll(place.owner, place, scope, START);
  expectProblem(third, 429, "quota-exceeded");
  expect(third.headers.get("retry-after")).toBe("5");
  const viewer = await member(place, "viewer");
  const other = await member(place, "viewer");
  await using three = await listen(viewer, place, scope, START);
  expect(three.status).toBe(200);
  expectProblem(await longPoll(other, place, scope, START), 503, "overloaded");
  two.leave();
  await poll("room", async () => {
    await using next = await listen(other, place, scope, START);
    return next.status === 200;
  });
});

test("a poll whose client has gone away keeps its place no longer than it would have waited", async () => {
  await using cell = await world().restart(
    { FEED_MAX_PER_READER: "2", FEED_LONG_POLL_MS: "4000", FEED_CHECK_MS: "100" },
    { isolates: 1 },
  );
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  const gone = new AbortController();
  const url = `${cell.api}${streamPath(place, scope, `?live=long-poll&offset=${START}`)}`;
  const headers = { authorization: `Bearer ${place.owner.token}` };
  const waiting = atOnce(2, () => fetch(url, { headers, signal: gone.signal }).catch(() => null));
  const listens = async () => {
    await using stream = await listen(place.owner, place, scope, START);
    return stream.status;
  };
  await poll("both to wait", async () => (await listens()) === 429);
  gone.abort();
  await waiting;
  await poll("room", async () => (await listens()) === 200);
});

test("a deploy in the middle costs a reader a new request and no message", async () => {
  const before = await world().restart({}, { isolates: 2 });
  const place = await home(before.api);
  const scope = workspaceScope(place);
  const { one } = await pushOne(place.owner, place, scope);
  await using stream = await listen(at(place.owner, 1, before), place, scope, START);
  await stream.received(1);
  await before.stop();
  await poll("its end", async () => stream.ended());
  const after = { ...one, user: at(place.owner, 0) };
  expectStatus(await push(after, [mutation(after, scope)]), 200);
  const offset = String(stream.controls.at(-1)?.streamNextOffset);
  await using next = await listen(after.user, place, scope, offset);
  expect(versions(await next.received(1))).toEqual([2]);
});

test("an object that ends while readers wait costs them a new request and no message", async () => {
  // The runtime ends an object that is told to go when its last stream has ended.
  await using cell = await world().restart(
    { FEED_SSE_MS: "1000", FEED_LONG_POLL_MS: "1000" },
    { isolates: 2 },
  );
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  const { one } = await pushOne(place.owner, place, scope);
  await using stream = await listen(at(place.owner, 1, cell), place, scope, START);
  await stream.received(1);
  const evicted = cell.evict("ScopeFeed", feedName(place, scope));
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  await poll("its end", async () => stream.ended());
  await evicted;
  const offset = String(stream.controls.at(-1)?.streamNextOffset);
  await using next = await listen(place.owner, place, scope, offset);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  await next.received(3 - stream.messages.length);
  expect(versions([...stream.messages, ...next.messages])).toEqual([1, 2, 3]);
});

test("an object that was ended knows nothing and asks Postgres", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const { one } = await pushOne(place.owner, place, scope);
  expectStatus(await longPoll(place.owner, place, scope, START), 200);
  await world().evict("ScopeFeed", feedName(place, scope));
  const waiting = longPoll(at(place.owner, 1), place, scope, "1_0000000000000001");
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  expect(versions(expectStatus(await waiting, 200).body)).toEqual([2]);
});
