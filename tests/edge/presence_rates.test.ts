/** The rate of everything one can ask a room for: each way in is charged, refused in full, and a refusal changes nothing. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, call, expectStatus, home, inTurn, member, type OwnedWorkspace } from "./actors.ts";
import { expectRateLimited } from "./refusals.ts";
import { sit, sitByTicket, snapshot, ticketFor, upgradeAnswer } from "./rooms.ts";
import { agreed, everybody } from "./seats.ts";
import { type OwnCell, world } from "./world.ts";

const BURST = 4;
const WINDOW_S = 3_600;
let narrow: OwnCell;

beforeAll(async () => {
  // An hour, so that nothing comes back while a test runs.
  const few = { base: BURST, burst: BURST, window_ms: WINDOW_S * 1_000, block_ms: 0 };
  narrow = await world().restart({ LIMITS: JSON.stringify({ relaxed: few, tickets: few }) });
});
afterAll(() => narrow.stop());

interface Way {
  policy: "relaxed" | "tickets";
  /** Asks when there is something left, and throws if it is refused. */
  passes(place: OwnedWorkspace): Promise<unknown>;
  /** Asks when there is nothing left. */
  asks(place: OwnedWorkspace): Promise<Answer<unknown>>;
}

const WAYS: Record<string, Way> = {
  "an upgrade": {
    policy: "relaxed",
    passes: (place) => sit(place.owner, place),
    asks: (place) => upgradeAnswer(place.owner, place),
  },
  "a stream of events": { policy: "relaxed", passes: streams, asks: (place) => streamAnswer(place) },
  "a page of the snapshot": answering("relaxed", 200, (place) => snapshot(place.owner, place)),
  "a heartbeat": answering("relaxed", 200, (place) => beat(place, 1)),
  "a ticket": answering("tickets", 201, (place) =>
    call(place.owner, "POST", `/v1/workspaces/${place.id}/presence/tickets`),
  ),
};

test.each(Object.entries(WAYS))(
  "%s above the rate is 429, and says which limit, how much and how long",
  async (_, { policy, passes, asks }) => {
    const place = await home(narrow.api);
    await inTurn(BURST, () => passes(place));
    expectRateLimited(await asks(place), policy, BURST, WINDOW_S);
  },
);

test("an upgrade that is refused lets nobody in, and costs nobody his seat", async () => {
  const place = await home(narrow.api);
  const viewer = await member(place, "viewer");
  const seats = await inTurn(BURST, () => sit(place.owner, place));
  expect((await upgradeAnswer(place.owner, place)).status).toBe(429);
  for (const seat of seats) seat.update(1, { at: 1 });
  await agreed(seats, 1);
  expect(await everybody(viewer, place)).toEqual(seats.map((seat) => seat.clientId).sort());
  expect(seats.filter((seat) => seat.end)).toEqual([]);
  // Who shows nothing is not seen, but he is counted.
  const operator = { authorization: `Bearer ${world().operatorToken}` };
  const drain = `${narrow.api}/v1/operator/presence/drain`;
  const drained = await call(null, "POST", drain, { workspaces: [place.id] }, operator);
  expect(expectStatus(drained, 200).body).toEqual({ sockets: BURST, unreachable: [] });
});

test("a heartbeat that is refused shows nothing", async () => {
  const place = await home(narrow.api);
  const viewer = await member(place, "viewer");
  await inTurn(BURST, async (index) => expectStatus(await beat(place, index + 1), 200));
  expect((await beat(place, BURST + 1)).status).toBe(429);
  expect((await snapshot(viewer, place)).body.data).toMatchObject([{ client_id: "cli", clock: BURST }]);
});

test("a ticket opens the room to who has used up his rate: it was paid for when it was made", async () => {
  const place = await home(narrow.api);
  await inTurn(BURST, () => WAYS["a heartbeat"]?.passes(place) ?? expect.unreachable());
  const ticket = await ticketFor(place.owner, place);
  expect((await upgradeAnswer(place.owner, place)).status).toBe(429);
  const seat = await sitByTicket(narrow.api, place, ticket);
  expect(seat.frames[0]).toMatchObject({ kind: "hello", client_id: ticket.client_id });
});

function answering(
  policy: Way["policy"],
  status: number,
  asks: (place: OwnedWorkspace) => Promise<Answer<unknown>>,
): Way {
  return { policy, asks, passes: async (place) => expectStatus(await asks(place), status) };
}

function beat(place: OwnedWorkspace, clock: number): Promise<Answer<unknown>> {
  const path = `/v1/workspaces/${place.id}/presence?client_id=cli`;
  return call(place.owner, "POST", path, { clock, state: {} });
}

/** Opens a stream and goes away again. */
async function streams(place: OwnedWorkspace): Promise<void> {
  const controller = new AbortController();
  const { token, api } = place.owner;
  const headers = { authorization: `Bearer ${token}`, accept: "text/event-stream" };
  const url = `${api}/v1/workspaces/${place.id}/presence`;
  const response = await fetch(url, { headers, signal: controller.signal });
  expect(response.status).toBe(200);
  controller.abort();
}

/** A stream that is refused ends by itself. */
function streamAnswer(place: OwnedWorkspace): Promise<Answer<unknown>> {
  const path = `/v1/workspaces/${place.id}/presence`;
  return call(place.owner, "GET", path, undefined, { accept: "text/event-stream" });
}
