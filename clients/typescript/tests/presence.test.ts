/** A room through the client: who sees whom, and coming back through whatever ends a connection. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import {
  call,
  expectStatus,
  home,
  member,
  nowhere,
  type OwnedWorkspace,
  type User,
} from "../../../tests/edge/actors.ts";
import { device, mutation, push, workspaceScope } from "../../../tests/edge/pushes.ts";
import { sit, snapshot, until } from "../../../tests/edge/rooms.ts";
import { type OwnCell, poll, world } from "../../../tests/edge/world.ts";
import { Client, memoryStore, type Options, type Timer } from "../src/index.ts";
import { type JoinOptions, join, type Room } from "../src/presence/index.ts";
import { systemTimer } from "../src/timer.ts";
import { JudgedSocket } from "./judged.ts";
import { network, next } from "./place.ts";
import { wires } from "./wires.ts";

let brisk: OwnCell;

beforeAll(async () => {
  // The one that rooms take by themselves.
  vi.stubGlobal("WebSocket", JudgedSocket);
  brisk = await world().restart({
    PRESENCE_ALARM_MS: "100",
    PRESENCE_PROBE_MS: "100",
    PRESENCE_SHED_MS: "1000",
    PRESENCE_DRAIN_MS: "200",
    PRESENCE_QUIET_MS: "50",
    PRESENCE_MAX_PER_USER: "200",
    GATE_REFRESH_MS: "50",
    LIMIT_SCALE: "100",
  });
});
afterAll(async () => {
  vi.unstubAllGlobals();
  await brisk.stop();
});

/** A client of this user, and a room that it has joined. */
function enter(user: User, place: OwnedWorkspace, options: JoinOptions = {}, client: Partial<Options> = {}) {
  const made = new Client({
    api: user.api,
    org: place.org_id,
    workspace: place.id,
    token: user.token,
    clientName: "Tests",
    store: memoryStore(),
    ...client,
  });
  const room = join(made, options);
  return { client: made, room, [Symbol.dispose]: () => made.close() };
}

const open = (room: Room) => poll(`${room.clientId} to be in`, async () => room.status === "open");

function ended(room: Room): Promise<{ code: string }> {
  return new Promise((resolve) => room.on("ended", resolve));
}

test("two see each other come, move and leave", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  using ada = enter(place.owner, place, { state: { n: 1 }, at: ["request/r1"] });
  using bob = enter(viewer, place);
  await poll("ada", async () => bob.room.people[0]);
  expect(bob.room.people).toMatchObject([
    { state: { n: 1 }, at: ["request/r1"], tabs: [{ client_id: ada.room.clientId }] },
  ]);
  expect(ada.room.people, "who shows nothing is not seen").toEqual([]);
  bob.room.update({ cursor: { x: 1 } });
  await poll("bob", async () => ada.room.people.length === 1);
  ada.room.update({ n: 2 });
  await poll("the move", async () => bob.room.people[0]?.state.n === 2);
  ada.room.leave();
  await poll("her leaving", async () => bob.room.people.length === 0);
  expect(ada.room.status).toBe("left");
  expect(ada.room.people).toEqual([]);
});

test("several tabs of one user are one person, who shows what spoke last", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  using watching = enter(viewer, place);
  await open(watching.room);
  using one = enter(place.owner, place, { state: { tab: 1 } });
  await poll("the first tab", async () => watching.room.people.length === 1);
  using two = enter(place.owner, place, { state: { tab: 2 } });
  await poll("the second tab", async () => watching.room.clients.length === 2);
  expect(watching.room.people).toMatchObject([
    { state: { tab: 2 }, tabs: [{ state: { tab: 2 } }, { state: { tab: 1 } }] },
  ]);
  one.room.update({ tab: "1, again" });
  await poll("the first to speak again", async () => watching.room.people[0]?.state.tab === "1, again");
  expect(watching.room.people[0]?.tabs).toHaveLength(2);
  two.room.leave();
  await poll("one tab", async () => watching.room.people[0]?.tabs.length === 1);
  expect(watching.room.people).toHaveLength(1);
});

test("many moves at once go out as few updates, and the last one always arrives", async () => {
  const [place, wire] = [await home(), wires()];
  using watching = enter(place.owner, place);
  using ada = enter(place.owner, place, { WebSocket: wire.Socket });
  await Promise.all([open(watching.room), open(ada.room)]);
  for (let n = 1; n <= 1_000; n += 1) ada.room.update({ n });
  await poll("the last one", async () => watching.room.clients[0]?.state.n === 1_000);
  ada.room.update({ n: 1_000 });
  expect(wire.said("update").map(({ state }) => state)).toEqual([null, { n: 1_000 }]);
  const clocks = wire.said("update").map(({ clock }) => Number(clock));
  expect(clocks.toSorted((a, b) => a - b)).toEqual(clocks);
});

test("a state that is too large is refused here, and the room goes on", async () => {
  const place = await home();
  using ada = enter(place.owner, place, { state: { n: 1 } });
  await open(ada.room);
  expect(() => ada.room.update({ text: "é".repeat(2_100) })).toThrow(/4\d{3} bytes, at most 4096/);
  expect(ada.room.status).toBe("open");
  expect((await snapshot(place.owner, place)).body.data[0]?.state).toEqual({ n: 1 });
});

test("who subscribes hears of those places alone, also after coming back", async () => {
  const [place, wire] = [await home(), wires()];
  using here = enter(place.owner, place, { state: { n: 1 }, at: ["request/here"] });
  using there = enter(place.owner, place, { state: { n: 2 }, at: ["request/there"] });
  using watching = enter(place.owner, place, { WebSocket: wire.Socket });
  await poll("both", async () => watching.room.clients.length === 2);
  watching.room.subscribe(["request/here"]);
  await poll("one", async () => watching.room.clients.length === 1);
  expect(watching.room.clients[0]?.client_id).toBe(here.room.clientId);
  wire.cut();
  await poll("another connection", async () => wire.opened === 2 && watching.room.status === "open");
  await poll("one again", async () => watching.room.clients.length === 1);
  there.room.update({ n: 3 }, ["request/here"]);
  await poll("both at the place", async () => watching.room.clients.length === 2);
});

test("a drained room is come back to when it says, with what was shown", async () => {
  const place = await home(brisk.api);
  const waits: number[] = [];
  const timer: Timer = {
    ...systemTimer,
    wait: (ms, signal) => {
      waits.push(ms);
      return systemTimer.wait(ms, signal);
    },
  };
  const wire = wires();
  using ada = enter(place.owner, place, { state: { n: 1 }, WebSocket: wire.Socket }, { timer });
  using watching = enter(place.owner, place);
  await poll("ada", async () => watching.room.people.length === 1);
  await poll("her only connection", async () => ada.room.status === "open");
  const operator = { token: world().operatorToken, api: brisk.api } as User;
  expectStatus(await call(operator, "POST", "/v1/operator/presence/drain", { workspaces: [place.id] }), 200);
  await poll("both to be back", async () => wire.opened === 2 && ada.room.status === "open");
  await poll("ada again", async () => watching.room.status === "open" && watching.room.people.length === 1);
  const asked = wire.heard.find(({ kind }) => kind === "error");
  expect(asked).toMatchObject({ code: 1012 });
  expect(waits, "exactly as long as it was told").toContain(asked?.retry_after_ms);
});

test("a credential that expires is asked for, and the next one is enough", async () => {
  const place = await home(brisk.api);
  const token = await world().token({ sub: place.owner.sub, email: place.owner.email, expires_in: 5 });
  const wire = network();
  using ada = enter(place.owner, place, { state: { n: 1 } }, { token, fetch: wire.fetch });
  await open(ada.room);
  expect(await next(ada.client, "credential")).toMatchObject({ status: 401 });
  expect(ada.room.status).toBe("waiting");
  const asked = wire.sent.length;
  expect(asked, "the old one is of no use any more").toBe(1);
  ada.client.setToken(place.owner.token);
  await open(ada.room);
  expect((await snapshot(place.owner, place)).body.data).toMatchObject([{ client_id: ada.room.clientId }]);
});

test("who is removed is out, and does not come back", async () => {
  const place = await home(brisk.api);
  const viewer = await member(place, "viewer");
  using bob = enter(viewer, place, { state: { n: 1 } });
  await open(bob.room);
  const out = ended(bob.room);
  const { body: me } = await call<{ id: string }>(viewer, "GET", "/v1/me");
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/members/${me.id}`), 204);
  expect(["not-found", "forbidden", "closed-4403"]).toContain((await out).code);
  expect([bob.room.status, bob.room.people]).toEqual(["left", []]);
});

test("a workspace that is not there, or another's, is told and not asked for again", async () => {
  const [place, wire] = [await home(), network()];
  using lost = enter(place.owner, { ...place, id: nowhere("ws") }, {}, { fetch: wire.fetch });
  expect(await ended(lost.room)).toMatchObject({ status: 404, code: "not-found" });
  expect([lost.room.status, wire.sent.length]).toEqual(["left", 1]);
});

test("the same client once more takes the place, and the older one stays away", async () => {
  const place = await home();
  using first = enter(place.owner, place, { clientId: "tab-1", state: { n: 1 } });
  await open(first.room);
  const out = ended(first.room);
  using second = enter(place.owner, place, { clientId: "tab-1", state: { n: 2 } });
  expect(await out).toMatchObject({ code: "closed-4409" });
  await open(second.room);
  await poll("its state", async () => (await snapshot(place.owner, place)).body.data[0]?.state.n === 2);
});

test("a network that swallows everything is noticed, and another connection made", async () => {
  const [place, wire] = [await home(), wires()];
  using ada = enter(place.owner, place, { state: { n: 1 }, WebSocket: wire.Socket, pingMs: 100 });
  await open(ada.room);
  wire.isMute = true;
  await poll("the loss to be noticed", async () => ada.room.status === "waiting");
  wire.isMute = false;
  await open(ada.room);
  expect(wire.opened).toBeGreaterThan(1);
});

test("without sockets the room is heard by events, read-only", async () => {
  const place = await home();
  using ada = enter(place.owner, place, { state: { n: 1 } });
  using deaf = enter(place.owner, place, { WebSocket: null, state: { n: 2 } });
  await poll("ada", async () => deaf.room.clients[0]?.state.n === 1);
  expect(deaf.room.status).toBe("listening");
  ada.room.update({ n: 3 });
  await poll("her move", async () => deaf.room.clients[0]?.state.n === 3);
  expect((await snapshot(place.owner, place)).body.data.map(({ client_id }) => client_id)).toEqual([
    ada.room.clientId,
  ]);
  deaf.room.subscribe(["request/elsewhere"]);
  await poll("nobody there", async () => deaf.room.clients.length === 0);
  ada.room.update({ n: 4 }, ["request/elsewhere"]);
  await poll("her coming", async () => deaf.room.clients[0]?.state.n === 4);
  ada.room.leave();
  await poll("her leaving", async () => deaf.room.clients.length === 0);
});

test("a stream that ends is gone on with where it was", async () => {
  const [place, wire] = [await home(brisk.api), network()];
  using ada = enter(place.owner, place, { state: { n: 1 } });
  using deaf = enter(place.owner, place, { WebSocket: null }, { fetch: wire.fetch });
  await poll("ada", async () => deaf.room.clients.length === 1);
  const heard: string[] = [];
  deaf.room.on("status", (status) => heard.push(status));
  const operator = { token: world().operatorToken, api: brisk.api } as User;
  expectStatus(await call(operator, "POST", "/v1/operator/presence/drain", { workspaces: [place.id] }), 200);
  await poll("it to listen again", async () => heard.join() === "waiting,listening");
  expect(wire.sent.at(-1)?.headers.get("last-event-id")).toMatch(/^\d+-\d+$/);
  ada.room.update({ n: 2 });
  await poll("her move", async () => deaf.room.clients[0]?.state.n === 2);
});

test("sockets that never open give way to events", async () => {
  const [place, wire] = [await home(), wires()];
  using ada = enter(place.owner, place, { state: { n: 1 } });
  await open(ada.room);
  wire.isRefused = true;
  using bob = enter(place.owner, place, { WebSocket: wire.Socket });
  await poll("ada", async () => bob.room.clients[0]?.state.n === 1);
  expect([bob.room.status, wire.opened]).toEqual(["listening", 0]);
});

test("who reads is asked and answers, and is not shed", async () => {
  const [place, wire] = [await home(brisk.api), wires()];
  using watching = enter(place.owner, place, { WebSocket: wire.Socket });
  using ada = enter(place.owner, place);
  await Promise.all([open(watching.room), open(ada.room)]);
  let n = 0;
  // Half as many again as it takes to be shed for not answering.
  await poll("fifteen answers", async () => {
    n += 1;
    ada.room.update({ n });
    return wire.said("ack").length >= 15;
  });
  expect([watching.room.status, wire.opened]).toEqual(["open", 1]);
});

test("a room larger than its first page is known whole", async () => {
  const place = await home(brisk.api);
  const ids = Array.from({ length: 130 }, (_, n) => `c${String(n).padStart(3, "0")}`);
  const beat = (id: string) =>
    call(place.owner, "POST", `/v1/workspaces/${place.id}/presence?client_id=${id}`, {
      clock: 1,
      state: { id },
    });
  for (const answer of await Promise.all(ids.map(beat))) expectStatus(answer, 200);
  using ada = enter(place.owner, place);
  await poll("everybody", async () => ada.room.clients.length === ids.length);
  expect(ada.room.clients.map(({ client_id }) => client_id).sort()).toEqual(ids);
  expect(ada.room.people).toHaveLength(1);
});

test("while a room is joined its notices wake what is followed, and no read waits at the server", async () => {
  const [place, wire] = [await home(brisk.api), network()];
  const [scope, writer] = [workspaceScope(place), device(place.owner, place)];
  using ada = enter(place.owner, place, {}, { fetch: wire.fetch });
  await open(ada.room);
  const documents = ada.client.scope("workspace", place.id);
  await documents.follow().ready;
  for (let n = 1; n <= 3; n += 1) {
    const changed = next(ada.client, "change");
    const entity = { type: "request", id: "r" };
    expectStatus(
      await push(writer, [mutation(writer, scope, { entity, base_version: n - 1, value: { n } })]),
      200,
    );
    expect(await changed).toEqual({ scope, entities: [entity] });
  }
  expect(wire.sent.filter(({ query }) => query.includes("live="))).toEqual([]);
  ada.room.leave();
  await poll("a read that waits", async () =>
    wire.sent.some(({ query }) => query.includes("live=long-poll")),
  );
});

test("raw clients and this one see each other", async () => {
  const place = await home();
  using ada = enter(place.owner, place, { state: { n: 1 } });
  const raw = await sit(place.owner, place);
  await until(
    raw,
    "ada",
    ({ peers }) => peers?.some(({ client_id }) => client_id === ada.room.clientId) ?? false,
  );
  raw.update(1, { raw: true });
  await poll("the raw one", async () => ada.room.clients[0]?.state.raw === true);
  raw.close();
});
