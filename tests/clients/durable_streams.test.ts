/**
 * The official Durable Streams client and its state package against drey as it is, and the suite that its authors wrote
 * for servers against drey behind an adapter.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type StreamOptions, stream } from "@durable-streams/client";
import { type ChangeEvent, isChangeEvent, MaterializedState } from "@durable-streams/state";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectStatus, home, type OwnedWorkspace } from "../edge/actors.ts";
import { device, mutation, push, readScope, workspaceScope } from "../edge/pushes.ts";
import { streamPath } from "../edge/streams.ts";
import { type OwnCell, poll, world } from "../edge/world.ts";
import { streamAdapter } from "./stream_adapter.ts";

const LONG_POLL_MS = 2_000;
/** The suite gives its tests a second more than this; a busy machine needs longer. */
const PATIENCE_MS = 10_000;
let cell: OwnCell;

beforeAll(async () => {
  const vars = {
    CORS_ORIGINS: "https://example.com",
    FEED_LONG_POLL_MS: String(LONG_POLL_MS),
    FEED_SSE_MS: "2000",
    LIMIT_SCALE: "1000",
  };
  cell = await world().restart(vars, { isolates: 2 });
});
afterAll(() => cell.stop());

function options(place: OwnedWorkspace, live: "long-poll" | "sse"): StreamOptions {
  return {
    url: `${cell.apis[1]}${streamPath(place, workspaceScope(place), "")}`,
    headers: { authorization: `Bearer ${place.owner.token}` },
    offset: "-1",
    live,
  };
}

test.each(["long-poll", "sse"] as const)(
  "the client follows a scope by %s, over the ends of its streams",
  async (live) => {
    const place = await home(cell.api);
    const scope = workspaceScope(place);
    const one = device(place.owner, place);
    const entity = (id: string) => ({ entity: { type: "request", id } });
    expectStatus(await push(one, [mutation(one, scope, { ...entity("a"), value: { n: 0 } })]), 200);
    const state = new MaterializedState();
    const versions: number[] = [];
    const reading = await stream<ChangeEvent>(options(place, live));
    reading.subscribeJson(async (batch) => {
      for (const item of batch.items) {
        expect(isChangeEvent(item)).toBe(true);
        state.apply(item);
        versions.push((item.headers as unknown as { version: number }).version);
      }
    });
    await poll("what was there", async () => versions.length === 1);
    const began = Date.now();
    // Longer than a stream of events lasts, so that the client has to come again in between.
    for (let n = 1; Date.now() - began < 3_000; n += 1) {
      const change = { ...entity("a"), base_version: one.lastId, value: { n } };
      expectStatus(await push(one, [mutation(one, scope, change)]), 200);
      await poll("its confirmation", async () => versions.length === one.lastId);
      expect(state.get("request", "request/a")).toEqual({ n });
    }
    const { value: _none, ...removal } = mutation(one, scope, {
      ...entity("a"),
      base_version: one.lastId - 1,
      op: "delete",
    });
    expectStatus(await push(one, [removal]), 200);
    await poll("the end of a", async () => versions.length === one.lastId);
    expect(state.getType("request").size).toBe(0);
    expect(versions).toEqual(Array.from({ length: one.lastId }, (_, index) => index + 1));
    reading.cancel();
  },
);

test("the client goes on from a snapshot, and its state is the state", async () => {
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  for (let n = 0; n < 5; n += 1) {
    const change = { entity: { type: "request", id: "a" }, base_version: n || null, value: { n } };
    expectStatus(await push(one, [mutation(one, scope, change)]), 200);
  }
  const state = new MaterializedState();
  const sent = await readScope(place.owner, place, scope, "?offset=snapshot");
  const page = String(new URL(String(sent.headers.get("location")), cell.api).searchParams.get("offset"));
  const first = await stream<ChangeEvent>({ ...options(place, "long-poll"), offset: page, live: false });
  const events = await first.json();
  state.applyBatch(events);
  expect(events.length).toBe(1);
  const rest = await stream<ChangeEvent>({ ...options(place, "long-poll"), offset: first.offset });
  rest.subscribeJson(async (batch) => state.applyBatch([...batch.items]));
  expectStatus(
    await push(one, [mutation(one, scope, { entity: { type: "folder", id: "f" }, value: {} })]),
    200,
  );
  await poll("the folder", async () => state.get("folder", "folder/f") !== undefined);
  expect(state.get("request", "request/a")).toEqual({ n: 4 });
  rest.cancel();
});

/**
 * Groups of what drey does not have (streams that close, expire or fork; writers known to the stream itself), and of what
 * only the adapter would be tried by.
 *
 * Of the groups that are run six tests fail, which are not drey's to pass. Five want `Stream-Seq`, by which a stream refuses
 * writes out of order ("with seq", "sequence ordering", "lexicographic seq ordering", "duplicate seq values", "case-sensitive
 * seq"): drey's writers number their mutations in the push itself, and that order has tests of its own (sync_push.test.ts). One
 * makes a stream a second time with another media type ("different config"), and media types are the adapter's alone.
 * A seventh is run and not listed: "large payload" sends ten megabytes, which drey refuses by their declared length before it
 * has read them. workerd gives such an upload 64 KiB more and then cuts the connection, so that the 413 may be lost on its way.
 */
const NOT_OURS =
  /Fork|TTL|Closure|Idempotent Producer|Sequence Ordering|Concurrent Writer|Byte-Exactness|State Hash/;
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

interface Report {
  testResults: { assertionResults: { fullName: string; status: string }[] }[];
}

test("the authors' suite for servers passes what is listed", async () => {
  const place = await home(cell.api);
  await using adapter = await streamAdapter(place);
  const results = await suite(adapter.url);
  const passed = results.filter(({ status }) => status === "passed").map(({ fullName }) => fullName);
  const listed = (await readFile(here("durable_streams_passing.txt"), "utf8")).split("\n").filter(Boolean);
  const failed = results
    .filter(({ status }) => status === "failed")
    .map(({ fullName }) => `\n  not: ${fullName}`);
  console.log(
    `durable-streams conformance: ${passed.length} of ${results.length} tests pass, ${listed.length} must${failed.join("")}`,
  );
  expect(listed.filter((name) => !passed.includes(name))).toEqual([]);
}, 400_000);

async function suite(url: string): Promise<{ fullName: string; status: string }[]> {
  const folder = await mkdtemp(join(tmpdir(), "drey-streams-"));
  const outputFile = join(folder, "report.json");
  const args = [
    "run",
    "--config",
    here("durable_streams_suite.config.ts"),
    "--reporter=json",
    `--outputFile=${outputFile}`,
  ];
  const run = [
    here("../../node_modules/vitest/vitest.mjs"),
    ...args,
    `--testNamePattern=^(?!.*(${NOT_OURS.source}))`,
  ];
  const env = { ...process.env, DREY_STREAMS: url, DREY_LONG_POLL_MS: String(PATIENCE_MS) };
  // It fails where one of its tests does: the report says which.
  const said = await new Promise<string>((resolve) => {
    execFile(process.execPath, run, { env, maxBuffer: 1 << 26 }, (_failed, out, err) => resolve(out + err));
  });
  const text = await readFile(outputFile, "utf8").catch(() => Promise.reject(new Error(said)));
  await rm(folder, { recursive: true, force: true });
  const results = (JSON.parse(text) as Report).testResults.flatMap(
    ({ assertionResults }) => assertionResults,
  );
  return results.filter(({ status }) => status === "passed" || status === "failed");
}
