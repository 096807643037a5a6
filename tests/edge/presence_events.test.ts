/** Presence by server-sent events: hearing without being seen, and coming back where one was. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, expectStatus, home, member, type OwnedWorkspace, type User, user } from "./actors.ts";
import { judgeHeard } from "./frames.ts";
import { type Frame, people, sit, snapshot, until } from "./rooms.ts";
import { type OwnCell, poll, world } from "./world.ts";

interface Event {
  id: string;
  frame: Frame;
}

interface Listener extends AsyncDisposable {
  status: number;
  headers: Headers;
  events: Event[];
  ended(): boolean;
}

let brisk: OwnCell;

beforeAll(async () => {
  brisk = await world().restart({
    PRESENCE_ALARM_MS: "100",
    PRESENCE_TTL_MS: "60000",
    GATE_REFRESH_MS: "50",
    PRESENCE_MAX_PER_USER: "3",
  });
});
afterAll(() => brisk.stop());

test("a reader hears hello, patch and leave, and is not seen", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const ada = await sit(place.owner, place);
  ada.update(1, { n: 1 });
  await poll("ada", async () => (await snapshot(viewer, place)).body.data.length === 1);
  await using reader = await listen(viewer, place);
  expect(reader.status).toBe(200);
  expect(reader.headers.get("content-type")).toBe("text/event-stream");
  expect(reader.headers.get("cache-control")).toBe("no-store");
  const hello = await heard(reader, (frame) => frame.kind === "hello");
  expect(hello.frame.peers).toMatchObject([{ client_id: ada.clientId, state: { n: 1 } }]);
  ada.update(2, { n: 2 });
  await heard(reader, (frame) => frame.kind === "patch" && frame.peers?.[0]?.clock === 2);
  expect((await people(viewer, place)).body.data).toHaveLength(1);
  ada.close();
  await heard(reader, (frame) => frame.kind === "leave");
});

test("who comes back with the last event is told what he missed, and nothing twice", async () => {
  const place = await home();
  const [ada, watching] = [await sit(place.owner, place), await sit(place.owner, place)];
  const first = await listen(place.owner, place);
  ada.update(1, { n: 1 });
  const { id } = await heard(first, (frame) => frame.peers?.[0]?.clock === 1);
  await first[Symbol.asyncDispose]();
  for (const clock of [2, 3]) {
    ada.update(clock, { n: clock });
    await until(watching, `clock ${clock}`, (frame) => frame.peers?.[0]?.clock === clock);
  }
  await using again = await listen(place.owner, place, { "last-event-id": id });
  await heard(again, (frame) => frame.peers?.[0]?.clock === 3);
  expect(again.events.map(({ frame }) => [frame.kind, frame.peers?.[0]?.clock])).toEqual([
    ["patch", 2],
    ["patch", 3],
  ]);
});

test("who heard only a part of everybody comes back without a number, and is told everything", async () => {
  await using wide = await world().restart({ PRESENCE_MAX_PER_USER: "200" });
  const place = await home(wide.api);
  for (let n = 0; n < 101; n += 1) {
    const path = `/v1/workspaces/${place.id}/presence?client_id=b${n}`;
    expectStatus(await call(place.owner, "POST", path, { clock: 1, state: { n } }), 200);
  }
  await using reader = await listen(place.owner, place);
  await poll("everybody", async () => reader.events.length >= 2);
  const [hello, rest] = reader.events;
  expect([hello?.frame.kind, hello?.frame.peers?.length, hello?.id]).toEqual(["hello", 100, ""]);
  expect([rest?.frame.kind, rest?.frame.peers?.length]).toEqual(["patch", 1]);
  expect(rest?.id).not.toBe("");
});

test("after the object was made anew, and with an event nobody knows, everything is told", async () => {
  const place = await home();
  const ada = await sit(place.owner, place);
  ada.update(1, { n: 1 });
  const reader = await listen(place.owner, place);
  const { id } = await heard(reader, (frame) => (frame.peers?.length ?? 0) > 0);
  // An object with an open stream is not evicted.
  await reader[Symbol.asyncDispose]();
  ada.update(2, { n: 2 });
  await poll("the second state", async () => (await snapshot(place.owner, place)).body.data[0]?.clock === 2);
  await world().evict("WorkspacePresence", place.id);
  for (const last of [id, "1-1", "what?"]) {
    await using again = await listen(place.owner, place, { "last-event-id": last });
    const hello = await heard(again, (frame) => frame.kind === "hello");
    expect(hello.frame.peers).toMatchObject([{ client_id: ada.clientId }]);
  }
});

test("a reader of some places hears of those alone", async () => {
  const place = await home();
  const ada = await sit(place.owner, place);
  await using reader = await listen(place.owner, place, {}, "?at=request/r1");
  await heard(reader, (frame) => frame.kind === "hello");
  ada.update(1, {}, ["request/r2"]);
  await poll("ada", async () => (await snapshot(place.owner, place)).body.data.length === 1);
  ada.update(2, {}, ["request/r1"]);
  await heard(reader, (frame) => frame.kind === "patch");
  ada.update(3, {}, []);
  await heard(reader, (frame) => frame.kind === "leave");
  expect(reader.events.map(({ frame }) => frame.kind)).toEqual(["hello", "patch", "leave"]);
});

test("who is removed hears no more, told or not", async () => {
  const place = await home(brisk.api);
  const viewer = await member(place, "viewer");
  await using reader = await listen(viewer, place);
  await heard(reader, (frame) => frame.kind === "hello");
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/members/${viewer.id}`), 204);
  expect((await heard(reader, (frame) => frame.kind === "error")).frame.code).toBe(4403);
  await poll("the end", async () => reader.ended());
});

test("a reader's place is free again once he has gone", async () => {
  const place = await home(brisk.api);
  const readers = await Promise.all([1, 2, 3].map(() => listen(place.owner, place)));
  expect((await listen(place.owner, place)).status).toBe(429);
  for (const reader of readers) await reader[Symbol.asyncDispose]();
  const back = await poll("a free place", async () => {
    const reader = await listen(place.owner, place);
    return reader.status === 200 && reader;
  });
  await back[Symbol.asyncDispose]();
});

test("strangers and the unnamed hear nothing", async () => {
  const place = await home();
  expect((await listen(await user(), place)).status).toBe(404);
  expect((await listen({ ...place.owner, token: "none" }, place)).status).toBe(401);
});

/** Opens a stream; resolves with its head. */
async function listen(
  caller: User,
  place: OwnedWorkspace,
  headers: Record<string, string> = {},
  query = "",
): Promise<Listener> {
  const controller = new AbortController();
  const response = await fetch(`${caller.api}/v1/workspaces/${place.id}/presence${query}`, {
    headers: { authorization: `Bearer ${caller.token}`, accept: "text/event-stream", ...headers },
    signal: controller.signal,
  });
  const events: Event[] = [];
  let ended = false;
  const reading = read(response, events)
    .catch(() => {})
    .finally(() => {
      ended = true;
    });
  return {
    status: response.status,
    headers: response.headers,
    events,
    ended: () => ended,
    [Symbol.asyncDispose]: async () => {
      controller.abort();
      await reading;
    },
  };
}

async function read(response: Response, events: Event[]): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const parts = text.split("\n\n");
    text = parts.pop() ?? "";
    for (const part of parts) {
      const { id, data } = /^(?:id: (?<id>\S*)\n)?data: (?<data>.*)$/.exec(part)?.groups ?? {};
      if (data === undefined) continue;
      judgeHeard(data);
      events.push({ id: id ?? "", frame: JSON.parse(data) as Frame });
    }
  }
}

function heard(reader: Listener, fits: (frame: Frame) => boolean): Promise<Event> {
  return poll("an event", async () => reader.events.find(({ frame }) => fits(frame)));
}
