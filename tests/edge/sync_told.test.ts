/** A push brings its messages to the feeds where somebody waits, complete and in order, or says only that there is more. */
import { expect, test } from "vitest";
import { expectStatus, home, member, type OwnedWorkspace, project, type User } from "./actors.ts";
import { type Forwarder, forwarder } from "./forwarder.ts";
import { apiKey, program } from "./keys.ts";
import { type Device, device, mutation, push, readScope, type Scope, workspaceScope } from "./pushes.ts";
import { at, type Listener, listen, longPoll, START, versions } from "./streams.ts";
import { poll, world } from "./world.ts";

interface Audience extends AsyncDisposable {
  place: OwnedWorkspace;
  scope: Scope;
  /** The owner, a viewer and a key of the project, each on another isolate. */
  readers: User[];
  streams: Listener[];
  /** A device of the owner on the first isolate, which knows that somebody waits. */
  one: Device;
  /** How often the log of the scope has been read. */
  reads(): number;
}

/** Readers on three isolates, whose feed never looks by itself. */
async function audience(): Promise<Audience> {
  const neon = await forwarder();
  const vars = { NEON_HTTP_URL: neon.url, FEED_CHECK_MS: "600000" };
  const cell = await world().restart(vars, { isolates: 3 });
  const place = await home(cell.api);
  const { id } = await project(place);
  const scope = { type: "project", id };
  const key = program(await apiKey(place, { scopes: ["sync"], project_id: id }));
  const readers = [place.owner, await member(place, "viewer"), key].map((one, index) => at(one, index, cell));
  const streams = await Promise.all(readers.map((reader) => listen(reader, place, scope, START)));
  for (const stream of streams) await poll("its place", async () => stream.controls.length > 0);
  const one = device(place.owner, place);
  await untilBrought(neon, one, scope);
  for (const stream of streams) await stream.received(one.lastId);
  return {
    place,
    scope,
    readers,
    streams,
    one,
    reads: () => neon.count("from sync_change t", id),
    [Symbol.asyncDispose]: async () => {
      for (const stream of streams) await stream[Symbol.asyncDispose]();
      await cell.stop();
      await neon[Symbol.asyncDispose]();
    },
  };
}

const brought = (neon: Forwarder, scope: Scope) => neon.count("join sync_change m", scope.id);

/** The first push finds out that somebody waits; what the isolate is told comes after its answer. */
function untilBrought(neon: Forwarder, from: Device, scope: Scope): Promise<unknown> {
  return poll("messages to be brought along", async () => {
    expectStatus(await push(from, [mutation(from, scope)]), 200);
    return brought(neon, scope) > 0;
  });
}

test("readers on three isolates have a push without a read of Postgres, byte for byte as the log has it", async () => {
  await using all = await audience();
  const { place, scope, readers, streams, one } = all;
  const [two, before, start] = [device(place.owner, place), all.reads(), one.lastId];
  const entity = { type: "request", id: "r" };
  const change = (from: Device, value: object, base_version: number) =>
    mutation(from, scope, { entity, base_version, value });
  const offset = `1_${String(start).padStart(16, "0")}`;
  const waiting = readers.map((reader) => longPoll(reader, place, scope, offset));
  const base = start + 1;
  const first = [change(one, { a: 1, b: 1 }, 0), mutation(one, scope), change(one, { a: 2, b: 1 }, base)];
  expectStatus(await push(one, first), 200);
  const polled = await Promise.all(waiting);
  // A merge is told as what it became, a write that diverges not at all, a repetition neither.
  const merging = [change(two, { a: 1, b: 2 }, base), change(two, { a: 3, b: 1 }, base)];
  const told = expectStatus(await push(two, merging), 200).body.results;
  expect(told.map(({ outcome }) => outcome)).toEqual(["merged", "diverged"]);
  expectStatus(await push(two, merging), 200);
  const { value: _none, ...removal } = mutation(one, scope, {
    entity,
    op: "delete",
    base_version: start + 4,
  });
  expectStatus(await push(one, [removal]), 200);
  for (const stream of streams) await stream.received(start + 5);
  expect(all.reads() - before).toBe(0);
  const log = expectStatus(await readScope(place.owner, place, scope, `?offset=${START}`), 200);
  for (const stream of streams) expect(stream.messages).toEqual(log.body);
  expect(log.body.at(-1)?.headers.operation).toBe("delete");
  const texts = log.text.slice(1, -1).split(/,(?=\{"type")/);
  const chunk = `[${texts.slice(start, start + 3).join(",")}]`;
  for (const answer of polled) expect(expectStatus(answer, 200).text).toBe(chunk);
});

test("a push of many bytes is read, once for everybody", async () => {
  await using all = await audience();
  const { scope, streams, one } = all;
  const before = all.reads();
  expectStatus(await push(one, [mutation(one, scope, { value: { filler: "x".repeat(70_000) } })]), 200);
  for (const stream of streams) await stream.received(one.lastId);
  expect(all.reads() - before).toBe(1);
});

test("a push that nobody told of lies before the next: both are read, in order", async () => {
  await using all = await audience();
  const { place, scope, streams, one } = all;
  const before = all.reads();
  // Its own objects: what is pushed there is not told here.
  await using elsewhere = await world().restart({}, { isolates: 1 });
  const there = device(at(place.owner, 0, elsewhere), place);
  expectStatus(await push(there, [mutation(there, scope)]), 200);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  const epochs = Array.from({ length: one.lastId + 1 }, (_, index) => index + 1);
  for (const stream of streams) expect(versions(await stream.received(epochs.length))).toEqual(epochs);
  expect(all.reads() - before).toBe(1);
});

test("where nobody waits, or everybody has gone, nothing is brought along", async () => {
  await using neon = await forwarder();
  const vars = { NEON_HTTP_URL: neon.url, FEED_CHECK_MS: "100" };
  await using cell = await world().restart(vars, { isolates: 1 });
  const place = await home(cell.api);
  const { id } = await project(place);
  const scope = { type: "project", id };
  const one = device(place.owner, place);
  for (let n = 0; n < 3; n += 1) expectStatus(await push(one, [mutation(one, scope)]), 200);
  expect(brought(neon, scope)).toBe(0);
  const stream = await listen(place.owner, place, scope, "now");
  await poll("its place", async () => stream.controls.length > 0);
  await untilBrought(neon, one, scope);
  stream.leave();
  await poll("a push alone", async () => {
    const before = brought(neon, scope);
    expectStatus(await push(one, [mutation(one, scope)]), 200);
    return brought(neon, scope) === before;
  });
});

test("who comes to a scope whose pushes tell nothing, because nobody waited there, has the next one long before the next look is due", async () => {
  await using neon = await forwarder();
  const vars = { NEON_HTTP_URL: neon.url, FEED_CHECK_MS: "600000", FEED_QUIET_MS: "3000" };
  await using cell = await world().restart(vars, { isolates: 2 });
  const place = await home(cell.api);
  const { id } = await project(place);
  const scope = { type: "project", id };
  const one = device(at(place.owner, 0, cell), place);
  for (let n = 0; n < 3; n += 1) expectStatus(await push(one, [mutation(one, scope)]), 200);
  await using stream = await listen(at(place.owner, 1, cell), place, scope, START);
  await stream.received(3);
  for (let n = 0; n < 3; n += 1) expectStatus(await push(one, [mutation(one, scope)]), 200);
  expect(versions(await stream.received(6))).toEqual([1, 2, 3, 4, 5, 6]);
});

test("who comes back when such a silence is over has what was pushed in it long before the next look is due", async () => {
  await using neon = await forwarder();
  const vars = { NEON_HTTP_URL: neon.url, FEED_CHECK_MS: "600000", FEED_QUIET_MS: "400" };
  await using cell = await world().restart(vars, { isolates: 1 });
  const place = await home(cell.api);
  const { id } = await project(place);
  const scope = { type: "project", id };
  const one = device(place.owner, place);
  const first = await listen(place.owner, place, scope, "now");
  await poll("its place", async () => first.controls.length > 0);
  await untilBrought(neon, one, scope);
  const left = first.controls.at(-1)?.streamNextOffset ?? START;
  const seen = one.lastId;
  first.leave();
  // The last of these is not brought along: the isolate has been told that nobody waits, and tells nothing.
  await poll("a push alone", async () => {
    const before = brought(neon, scope);
    expectStatus(await push(one, [mutation(one, scope)]), 200);
    return brought(neon, scope) === before;
  });
  const over = performance.now() + 500;
  await poll("the end of the silence", async () => performance.now() > over);
  await using again = await listen(place.owner, place, scope, left);
  await again.received(one.lastId - seen);
  expect(versions(again.messages).at(-1)).toBe(one.lastId);
});

test("a push over a hundred scopes tells some of them, and who waits at another finds it by the next look", async () => {
  await using cell = await world().restart({ FEED_CHECK_MS: "300" }, { isolates: 2 });
  const place = await home(cell.api);
  const one = device(place.owner, place);
  const ids = Array.from({ length: 100 }, (_, n) => `c${String(n).padStart(3, "0")}`);
  const made = ids.map((id) =>
    mutation(one, workspaceScope(place), { entity: { type: "collection", id }, value: {} }),
  );
  expectStatus(await push(one, made), 200);
  const last = { type: "collection", id: "c099" };
  await using stream = await listen(at(place.owner, 1, cell), place, last, START);
  await poll("its place", async () => stream.controls.length > 0);
  const writes = ids.map((id) => mutation(one, { type: "collection", id }));
  expect(expectStatus(await push(one, writes), 200).body.scopes).toHaveLength(100);
  expect(versions(await stream.received(1))).toEqual([1]);
});
