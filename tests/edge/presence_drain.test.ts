/** Draining rooms: everybody is sent away for a moment, each for another time, and nobody is lost. */
import { expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, member, type OwnedWorkspace } from "./actors.ts";
import { sit, snapshot, until, untilClosed } from "./rooms.ts";
import { poll, world } from "./world.ts";

const DRAIN = "/v1/operator/presence/drain";

test("a drain tells every socket when to come back, and who comes back is where he was", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const [ada, bob, watching] = [
    await sit(place.owner, place),
    await sit(viewer, place),
    await sit(viewer, place),
  ];
  ada.update(5, { at: "here" }, ["request/r1"]);
  bob.update(1, {});
  await poll("both", async () => (await snapshot(viewer, place)).body.data.length === 2);
  expect(expectStatus(await drain([place.id]), 200).body).toEqual({ sockets: 3, unreachable: [] });
  const delays: number[] = [];
  for (const seat of [ada, bob, watching]) {
    expect((await untilClosed(seat)).code).toBe(1012);
    const error = await until(seat, "the delay", (frame) => frame.kind === "error");
    delays.push(Number(error.retry_after_ms));
  }
  expect(new Set(delays).size, "no two come back at once").toBe(3);
  expect(Math.max(...delays)).toBeLessThan(10_000);
  const meanwhile = (await snapshot(viewer, place)).body.data.map((peer) => peer.client_id);
  expect(meanwhile.sort()).toEqual([ada.clientId, bob.clientId].sort());
  await world().evict("WorkspacePresence", place.id);
  const back = await sit(place.owner, place, ada.clientId);
  const here = (await snapshot(viewer, place)).body.data;
  expect(here.find((peer) => peer.client_id === ada.clientId)).toMatchObject({
    clock: 5,
    state: { at: "here" },
    at: ["request/r1"],
  });
  expect(back.frames[0]?.peers?.map((peer) => peer.client_id)).toEqual([bob.clientId]);
  back.close();
  await poll("bob alone", async () => (await snapshot(viewer, place)).body.data.length === 1);
});

test("who does not come back after a drain is gone with his time", async () => {
  await using cell = await world().restart({ PRESENCE_BEAT_MS: "300", PRESENCE_ALARM_MS: "100" });
  const place = await home(cell.api);
  const seat = await sit(place.owner, place);
  seat.update(1, {});
  await poll("the state", async () => (await snapshot(place.owner, place)).body.data.length === 1);
  expectStatus(await drain([place.id], cell.api), 200);
  await poll("nobody", async () => (await snapshot(place.owner, place)).body.data.length === 0);
});

test("only the operator drains, and only workspaces", async () => {
  const place: OwnedWorkspace = await home();
  const body = { workspaces: [place.id] };
  expectProblem(await call(null, "POST", `${world().api}${DRAIN}`, body), 401, "unauthenticated");
  expectProblem(await call(place.owner, "POST", DRAIN, body), 401, "unauthenticated");
  expectProblem(await drain([]), 400, "invalid-body");
  const wrong = expectProblem(await drain([place.id, "ws_none"]), 400, "invalid-body");
  expect(wrong.errors?.[0]?.pointer).toBe("/workspaces/1");
  expectProblem(await drain(Array.from({ length: 101 }, () => place.id)), 400, "invalid-body");
});

test("a room that does not answer is named", async () => {
  await using cell = await world().restart({}, { broken: "PRESENCE" });
  const place = await home();
  const answer = expectStatus(await drain([place.id], cell.api), 200);
  expect(answer.body).toEqual({ sockets: 0, unreachable: [place.id] });
});

function drain(workspaces: string[], api: string = world().api) {
  const operator = { authorization: `Bearer ${world().operatorToken}` };
  return call(null, "POST", `${api}${DRAIN}`, { workspaces }, operator);
}
