/** One-time tickets: how a browser, which cannot send `Authorization` with a WebSocket, joins a room. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  call,
  expectProblem,
  expectStatus,
  home,
  inTurn,
  member,
  type OwnedWorkspace,
  user,
} from "./actors.ts";
import { removeUntold, revokeUntold } from "./database.ts";
import { type Forwarder, forwarder } from "./forwarder.ts";
import { apiKey, program } from "./keys.ts";
import { refusedUpgrade, sit, sitByTicket, snapshot, type Ticket, ticketFor, untilClosed } from "./rooms.ts";
import { type OwnCell, poll, world } from "./world.ts";

const ORIGIN = "https://app.example.test";
let way: Forwarder;
let cell: OwnCell;

beforeAll(async () => {
  way = await forwarder();
  cell = await world().restart({ NEON_HTTP_URL: way.url, CORS_ORIGINS: ORIGIN, GATE_REFRESH_MS: "0" });
});
afterAll(async () => {
  await cell.stop();
  await way[Symbol.asyncDispose]();
});

test("a ticket takes a seat without any other credential, and names the protocol", async () => {
  const place = await home();
  const ticket = await ticketFor(place.owner, place);
  expect(ticket).toEqual({
    ticket: expect.stringMatching(/^[A-Za-z0-9_-]{54}$/),
    client_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    protocols: ["drey.v1", `ticket.${ticket.ticket}`],
    expires_in_ms: 30_000,
  });
  const seat = await sitByTicket(world().api, place, ticket);
  expect(seat.protocol).toBe("drey.v1");
  expect(seat.frames[0]).toMatchObject({ kind: "hello", client_id: ticket.client_id });
  seat.update(1, { here: true });
  const shown = await poll("the seat", async () => (await snapshot(place.owner, place)).body.data[0]);
  expect(shown).toMatchObject({ client_id: ticket.client_id, user_id: place.owner.id });
});

test("the same client id is the same seat, with a ticket or with a token", async () => {
  const place = await home();
  const first = await sit(place.owner, place);
  const path = `/v1/workspaces/${place.id}/presence/tickets?client_id=${first.clientId}`;
  const answer = expectStatus(await call<Ticket>(place.owner, "POST", path), 201);
  expect(answer.headers.get("cache-control")).toBe("no-store");
  await sitByTicket(world().api, place, answer.body);
  expect((await untilClosed(first)).code).toBe(4409);
});

test("a ticket is good once, also when many try at the same time", async () => {
  const place = await home();
  const ticket = await ticketFor(place.owner, place);
  const tries = await Promise.allSettled(
    Array.from({ length: 8 }, () => sitByTicket(world().api, place, ticket)),
  );
  expect(tries.filter((one) => one.status === "fulfilled")).toHaveLength(1);
  expect(await refused(place, ticket)).toEqual({ status: 401, code: "invalid-token" });
});

test("a ticket outlives the eviction of its room, and not its time", async () => {
  const place = await home();
  const ticket = await ticketFor(place.owner, place);
  await world().evict("WorkspacePresence", place.id);
  await sitByTicket(world().api, place, ticket);
  await using short = await world().restart({ PRESENCE_TICKET_MS: "0" });
  const there = await home(short.api);
  const over = await ticketFor(there.owner, there);
  expect(await refused(there, over, short.api)).toEqual({ status: 401, code: "invalid-token" });
});

test("a used ticket is paid for like any unknown credential", async () => {
  const anonymous = { base: 6, burst: 6, window_ms: 3_600_000 };
  await using narrow = await world().restart({ LIMITS: JSON.stringify({ anonymous }) });
  const place = await home();
  const ticket = await ticketFor({ ...place.owner, api: narrow.api }, place);
  await sitByTicket(narrow.api, place, ticket);
  const answers = await inTurn(8, () => refused(place, ticket, narrow.api));
  expect(answers[0]).toEqual({ status: 401, code: "invalid-token" });
  expect(answers.at(-1)).toEqual({ status: 429, code: "rate-limited" });
});

test("a ticket of another workspace, a forged one and none are refused", async () => {
  const [here, there] = [await home(), await home()];
  const ticket = await ticketFor(there.owner, there);
  expect(await refused(here, ticket)).toEqual({ status: 401, code: "invalid-token" });
  const forged = { ...ticket, protocols: ["drey.v1", `ticket.${"A".repeat(54)}`] };
  expect(await refused(here, forged)).toEqual({ status: 401, code: "invalid-token" });
  const none = { ...ticket, protocols: ["drey.v1"] };
  expect(await refused(here, none)).toEqual({ status: 401, code: "unauthenticated" });
  await sitByTicket(world().api, there, ticket);
});

test("a ticket opens no other door than the room's", async () => {
  const place = await home();
  const { protocols } = await ticketFor(place.owner, place);
  const headers = { "sec-websocket-protocol": protocols.join(", ") };
  const nobody = { ...place.owner, token: "" };
  for (const path of ["", "/members", "/presence", "/sync/workspace/x"]) {
    const answer = await call(
      null,
      "GET",
      `${nobody.api}/v1/workspaces/${place.id}${path}`,
      undefined,
      headers,
    );
    expectProblem(answer, 401, "unauthenticated");
  }
});

test("strangers and the unnamed get no ticket", async () => {
  const place = await home();
  const path = `/v1/workspaces/${place.id}/presence/tickets`;
  expectProblem(await call(await user(), "POST", path), 404, "not-found");
  expectProblem(await call(null, "POST", `${world().api}${path}`), 401, "unauthenticated");
});

test("tickets have a policy of their own: who has had his goes on reading and writing", async () => {
  await using narrow = await world().restart({ LIMITS: '{"tickets":{"base":3,"burst":3,"block_ms":0}}' });
  const place = await home(narrow.api);
  const path = `/v1/workspaces/${place.id}/presence/tickets`;
  const answers = await inTurn(4, () => call(place.owner, "POST", path));
  expect(answers.map((answer) => answer.status)).toEqual([201, 201, 201, 429]);
  const refused = answers.at(-1) ?? expect.unreachable();
  expect(refused.body).toMatchObject({ "violated-policies": ["tickets"] });
  expect(refused.headers.get("ratelimit-policy")).toContain('"tickets";q=3;w=60');
  expectStatus(await call(place.owner, "GET", `/v1/workspaces/${place.id}`), 200);
  expectStatus(await call(place.owner, "PATCH", `/v1/workspaces/${place.id}`, { name: "On" }), 200);
});

test("a page of another origin cannot use a ticket, and cannot use it up", async () => {
  const place = await home(cell.api);
  const ticket = await ticketFor(place.owner, place);
  const evil = { origin: "https://evil.example" };
  expect(await refused(place, ticket, cell.api, evil)).toEqual({ status: 403, code: "origin-not-allowed" });
  expect((await sitByTicket(cell.api, place, ticket, ORIGIN)).protocol).toBe("drey.v1");
});

test("who is removed has no use of a ticket, also when nobody told the room", async () => {
  const place = await home(cell.api);
  const [told, untold] = [await member(place, "viewer"), await member(place, "viewer")];
  const tickets = [await ticketFor(told, place), await ticketFor(untold, place)] as const;
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/members/${told.id}`), 204);
  expect(await refused(place, tickets[0], cell.api)).toEqual({ status: 401, code: "invalid-token" });
  await removeUntold(place, untold);
  expect(await refused(place, tickets[1], cell.api)).toEqual({ status: 404, code: "not-found" });
});

test("a ticket of a key that was revoked takes no seat, even if no gate was told", async () => {
  const place = await home(cell.api);
  const seen = { scopes: ["presence"] };
  const [kept, revoked] = [await apiKey(place, seen), await apiKey(place, seen)];
  const callers = [program(kept, cell.api), program(revoked, cell.api)] as const;
  const tickets = [await ticketFor(callers[0], place), await ticketFor(callers[1], place)] as const;
  await sitByTicket(cell.api, place, tickets[0]);
  await revokeUntold(place, revoked);
  await poll("the gate to have looked", async () => (await snapshot(callers[1], place)).status === 401);
  expect(await refused(place, tickets[1], cell.api)).toEqual({ status: 401, code: "invalid-token" });
  await sitByTicket(cell.api, place, await ticketFor(callers[0], place));
});

test("an upgrade that the room does not answer in time is 503, not a hanging socket", async () => {
  const vars = { NEON_HTTP_URL: way.url, GATE_REFRESH_MS: "0", REQUEST_DEADLINE_MS: "1500" };
  await using hasty = await world().restart(vars);
  const place = await home(cell.api);
  const ticket = await ticketFor({ ...place.owner, api: hasty.api }, place);
  await hasty.evict("WorkspaceGate", place.id);
  // The room asks the gate, and the gate asks Postgres, which keeps its answer to itself.
  const load = way.hold("authz_epoch, workspace_role(");
  try {
    expect(await refused(place, ticket, hasty.api)).toEqual({ status: 503, code: "upstream-unavailable" });
    expect(load.held()).toBeGreaterThan(0);
  } finally {
    load.release();
  }
});

function refused(place: OwnedWorkspace, ticket: Ticket, api = world().api, headers = {}) {
  return refusedUpgrade({ api, token: "" }, place, headers, ticket.protocols);
}
