/** Sub-rooms: what each looks at, and hearing of some places only. */
import { expect, test } from "vitest";
import { call, expectProblem, expectStatus, home } from "./actors.ts";
import { known, type Seat, sit, snapshot, until } from "./rooms.ts";
import { poll, world } from "./world.ts";

test("who looks at what is shown with the state, and asked for by place", async () => {
  const place = await home();
  const [ada, bob] = [await sit(place.owner, place), await sit(place.owner, place)];
  ada.update(1, { cursor: 4 }, ["request/r1", "project/p"]);
  const patch = await until(bob, "ada's patch", (frame) => frame.kind === "patch");
  expect(patch.peers).toMatchObject([{ client_id: ada.clientId, at: ["project/p", "request/r1"] }]);
  bob.update(1, {}, ["request/r2"]);
  await poll("bob", async () => (await snapshot(place.owner, place)).body.data.length === 2);
  const at = async (places: string) => {
    const page = expectStatus(await snapshot(place.owner, place, `at=${places}`), 200).body;
    return page.data.map((peer) => peer.client_id).sort();
  };
  expect(await at("request/r1")).toEqual([ada.clientId]);
  expect(await at("request/r3")).toEqual([]);
  expect(await at("request/r1,request/r2")).toEqual([ada.clientId, bob.clientId].sort());
  expectProblem(await snapshot(place.owner, place, "at=request"), 400, "invalid-parameter");
});

test("who listens to a place hears of those who are there; moving away is leaving", async () => {
  const place = await home();
  const [ada, listening, all] = [
    await sit(place.owner, place),
    await sit(place.owner, place),
    await sit(place.owner, place),
  ];
  ada.update(1, { n: 1 }, ["request/r1"]);
  await knows(listening, ada, { n: 1 });
  listening.subscribe(["request/r2"]);
  await knows(listening, ada, undefined);
  ada.update(2, { n: 2 }, ["request/r1"]);
  await knows(all, ada, { n: 2 });
  ada.update(3, { n: 3 }, ["request/r2"]);
  await knows(listening, ada, { n: 3 });
  ada.update(4, { n: 4 }, []);
  await knows(listening, ada, undefined);
  await knows(all, ada, { n: 4 });
  listening.subscribe(null);
  await knows(listening, ada, { n: 4 });
  expect(clocks(listening)).toEqual([1, 3]);
});

test("what a seat listens to and looks at outlives the eviction of its room", async () => {
  const place = await home();
  const [ada, listening] = [await sit(place.owner, place), await sit(place.owner, place)];
  listening.subscribe(["request/r1"]);
  ada.update(1, { n: 1 }, ["request/r1"]);
  await knows(listening, ada, { n: 1 });
  await world().evict("WorkspacePresence", place.id);
  ada.update(2, { n: 2 }, []);
  await knows(listening, ada, undefined);
  ada.update(3, { n: 3 }, ["request/r1"]);
  await knows(listening, ada, { n: 3 });
  expect(clocks(listening)).not.toContain(2);
});

test("a client without a socket looks at places too", async () => {
  const place = await home();
  const listening = await sit(place.owner, place);
  listening.subscribe(["request/r1"]);
  await poll("the second hello", async () => listening.frames.filter((f) => f.kind === "hello").length === 2);
  const path = `/v1/workspaces/${place.id}/presence?client_id=cli`;
  expectStatus(await call(place.owner, "POST", path, { clock: 1, state: {}, at: ["request/r1"] }), 200);
  await poll("the patch", async () => known(listening).has("cli"));
});

/** The clocks of the states that one was told as they came. */
function clocks({ frames }: Seat): number[] {
  const told = frames.filter((frame) => frame.kind === "patch").flatMap((frame) => frame.peers ?? []);
  return told.map((peer) => peer.clock);
}

/** Waits until one knows this state of another; undefined for none. */
function knows(seat: Seat, of: Seat, state: unknown): Promise<unknown> {
  const wanted = JSON.stringify(state);
  return poll(
    `${wanted} of ${of.clientId}`,
    async () => JSON.stringify(known(seat).get(of.clientId)) === wanted,
  );
}
