/** Following a scope by a stream of events: what comes, what breaks off, and what never comes through. */
import { expect, test } from "vitest";
import { expectStatus, home } from "../../../tests/edge/actors.ts";
import { device, diverge, mutation, push, workspaceScope } from "../../../tests/edge/pushes.ts";
import { poll, world } from "../../../tests/edge/world.ts";
import { eventsOf } from "../src/http/sse.ts";
import type { Client } from "../src/index.ts";
import { clientOf, network, next, quickTimer } from "./place.ts";

const request = (id: string) => ({ type: "request", id });

/** A follower of a place of its own; `fetch` stands between it and the server. */
async function follower(
  fetch: (answer: Response, query: string) => Response = (answer) => answer,
  api?: string,
) {
  const [place, wire, timer] = [await home(api), network(), quickTimer()];
  const through: typeof globalThis.fetch = async (input, init) =>
    fetch(await wire.fetch(input, init), new URL(String(input)).search);
  const client = clientOf(place, { fetch: through, timer, live: "sse" });
  await client.scope("workspace", place.id).follow().ready;
  const writer = device(place.owner, place);
  const scope = workspaceScope(place);
  let version = 0;
  const write = async (n: number) => {
    const change = { entity: request("r"), base_version: version, value: { n } };
    const { results } = expectStatus(await push(writer, [mutation(writer, scope, change)]), 200).body;
    version = results[0]?.version ?? 0;
  };
  const shows = (n: number) => poll(`value ${n}`, async () => (await shown(client, place.id)) === n);
  const lives = () => wire.sent.flatMap(({ query }) => new URLSearchParams(query).get("live") ?? []);
  return { place, client, write, shows, lives, timer, wire };
}

async function shown(client: Client, workspace: string): Promise<unknown> {
  return (await client.scope("workspace", workspace).get(request("r"))).value?.n;
}

test("one stream brings what others write, and what they resolve", async () => {
  const { place, client, write, lives, timer } = await follower();
  for (let n = 1; n <= 3; n += 1) {
    const changed = next(client, "change");
    await write(n);
    expect(await changed).toEqual({ scope: workspaceScope(place), entities: [request("r")] });
    expect(await shown(client, place.id)).toBe(n);
  }
  const { id, entity } = await diverge(place, place.owner, place.owner);
  const resolved = next(client, "resolved");
  await clientOf(place).divergences.resolve(id, { take: "mine" });
  expect(await resolved).toEqual({ scope: workspaceScope(place), entity, divergence_id: id });
  await poll("the end of the log", async () => client.state.behind === 0);
  client.close();
  expect([lives(), timer.waits]).toEqual([["sse"], []]);
});

test("a stream that ends or breaks off is followed by the next, without a gap or a repetition", async () => {
  await using cell = await world().restart({ FEED_SSE_MS: "1500" }, { isolates: 1 });
  let cut = () => {};
  const { client, write, shows, lives } = await follower((answer, query) => {
    if (!query.includes("live=sse") || !answer.body) return answer;
    // A connection that somebody ends in the middle.
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const ending = new AbortController();
    cut = () => ending.abort(new TypeError("terminated"));
    answer.body.pipeTo(writable, { signal: ending.signal }).catch(() => {});
    return new Response(readable, answer);
  }, cell.api);
  const versions: number[] = [];
  client.on("change", () => versions.push(client.state.behind ?? -1));
  await poll("the first stream", async () => lives().length === 1);
  await write(1);
  await shows(1);
  cut();
  await write(2);
  await shows(2);
  await poll("the stream after one that has ended", async () => lives().length >= 4);
  await write(3);
  await shows(3);
  client.close();
  expect(versions).toHaveLength(3);
  expect(new Set(lives())).toEqual(new Set(["sse"]));
});

test.each<[string, (answer: Response) => Response]>([
  [
    "collects it",
    (answer) => {
      answer.body?.cancel();
      return new Response("", { headers: { "content-type": "text/event-stream" } });
    },
  ],
  ["answers itself", () => Response.json({ hello: "portal" })],
  [
    "garbles it",
    () => new Response("event: control\ndata: {\n\n", { headers: { "content-type": "text/event-stream" } }),
  ],
])("where somebody between %s, long-polls bring the same", async (_, garble) => {
  const { client, write, shows, lives } = await follower((answer, query) =>
    query.includes("live=sse") ? garble(answer) : answer,
  );
  for (let n = 1; n <= 2; n += 1) {
    await write(n);
    await shows(n);
  }
  client.close();
  expect(lives().slice(0, 2)).toEqual(["sse", "long-poll"]);
  expect(lives().filter((live) => live === "sse")).toHaveLength(1);
});

test("a token that is refused stops the stream until there is another", async () => {
  const { place, client, write, shows, lives } = await follower(undefined, undefined);
  await poll("the stream", async () => lives().length === 1);
  await write(1);
  await shows(1);
  client.close();
  const wire = network();
  const late = clientOf(place, { fetch: wire.fetch, live: "sse", token: "expired" });
  const refused = next(late, "credential");
  const followed = late.scope("workspace", place.id).follow();
  expect((await refused).status).toBe(401);
  late.setToken(place.owner.token);
  await followed.ready;
  await write(2);
  await poll("what was written", async () => (await shown(late, place.id)) === 2);
  late.close();
});

test("events are read wherever their text is cut", async () => {
  const text =
    'event: data\ndata: [1,\ndata: 2]\n\n: beat\n\r\nevent:control\r\nid: 7-1\r\ndata:{"a":": b"}\r\n\r\ndata: no end\n';
  const expected = [
    { name: "data", data: "[1,\n2]" },
    { name: "control", data: '{"a":": b"}', id: "7-1" },
  ];
  for (let size = 1; size <= text.length; size += 1) {
    const parts = async function* () {
      for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
    };
    const events = [];
    for await (const event of eventsOf(parts())) events.push(event);
    expect(events, `in parts of ${size}`).toEqual(expected);
  }
});
