/** What a room's client decides by itself: which frames it reads, who is here, and when it comes back. */
import { expect, test } from "vitest";
import { randomOf } from "../../../tests/edge/random.ts";
import { comeBackMs, isFinal, toldEnd } from "../src/presence/ends.ts";
import { frameOf, type Peer } from "../src/presence/frames.ts";
import { Peers } from "../src/presence/peers.ts";

function peer(client_id: string, clock = 1, user_id = "user_a"): Peer {
  const seen_at = `2026-01-01T00:00:00.${String(clock).padStart(6, "0")}Z`;
  return { client_id, user_id, name: null, at: [], state: { clock }, clock, seen_at };
}

test.each([
  ["pong"],
  ["{"],
  ["null"],
  ["7"],
  ['{"kind":"tomorrow"}'],
  ['{"kind":"toString"}'],
  ['{"kind":"patch"}'],
  [new ArrayBuffer(2)],
])("%j is nothing that this client knows", (text) => {
  expect(frameOf(text)).toBeUndefined();
});

test("the room's last words say why it closed, and when to come back", () => {
  const told = { kind: "error", code: 1012, detail: "restarted", retry_after_ms: 70 } as const;
  expect(toldEnd(1012, "", told)).toEqual({ code: 1012, detail: "restarted", retryAfterMs: 70 });
  expect(toldEnd(1006, "", undefined)).toEqual({ code: 1006, detail: "the connection was lost" });
});

test("a restarted room is come back to when it says, any other after a back-off beyond what it asks for", () => {
  const end = (code: number, retryAfterMs?: number) => ({ code, detail: "", retryAfterMs });
  expect(comeBackMs(end(1012, 70), 9, 0.5)).toBe(70);
  expect(comeBackMs(end(1012), 9, 0.5)).toBe(500);
  expect(comeBackMs(end(1013, 2_000), 0, 0.5)).toBe(2_125);
  expect([0, 1, 2, 20].map((attempt) => comeBackMs(end(1006), attempt, 0.5))).toEqual([
    125, 250, 500, 15_000,
  ]);
});

test("only what time does not mend is final", () => {
  const codes = [1001, 1003, 1006, 1007, 1008, 1009, 1011, 1012, 1013, 4401, 4403, 4408, 4409, 4410];
  expect(codes.filter((code) => isFinal({ code, detail: "" }))).toEqual([1003, 1007, 1009, 4409, 4410]);
});

test("a page of the snapshot never brings back who has left, nor what is older than a frame", () => {
  const peers = new Peers("me");
  peers.begin([peer("a"), peer("b")], true);
  peers.patch([peer("b", 2), peer("me")]);
  peers.leave([{ client_id: "a" }]);
  peers.fill([peer("a"), peer("b"), peer("c"), peer("me")]);
  expect(peers.clients().map(({ client_id, clock }) => [client_id, clock])).toEqual([
    ["b", 2],
    ["c", 1],
  ]);
  peers.patch([peer("a", 3)]);
  peers.begin([]);
  expect([peers.clients(), peers.people()]).toEqual([[], []]);
});

test("who has left is remembered only while pages are read: a room may be open for weeks", () => {
  const peers = new Peers("me");
  const comesBack = (more: boolean, isFilled: boolean) => {
    peers.begin([peer("a")], more);
    peers.leave([{ client_id: "a" }]);
    if (isFilled) peers.filled();
    peers.fill([peer("a")]);
    return peers.clients().length > 0;
  };
  expect([comesBack(true, false), comesBack(true, true), comesBack(false, false)]).toEqual([
    false,
    true,
    true,
  ]);
});

test("a tab that was heard of last, by a ping, does not take the place of the one that spoke last", () => {
  const peers = new Peers("me");
  const [spoke, pinged] = [peer("c1", 2), { ...peer("c2", 1), seen_at: "2026-01-01T00:01:00.000000Z" }];
  peers.begin([spoke, pinged]);
  expect(peers.people()).toMatchObject([{ state: { clock: 2 }, tabs: [spoke, pinged] }]);
});

test("any frames in any order: each user is one person, and shows what his tab shows that spoke last", () => {
  const int = randomOf(5);
  for (let run = 0; run < 100; run += 1) {
    const peers = new Peers("me");
    const model = new Map<string, Peer>();
    for (let clock = 1; clock <= 40; clock += 1) {
      const id = `c${int(8)}`;
      if (int(4) === 0) {
        peers.leave([{ client_id: id }]);
        model.delete(id);
      } else {
        const said = peer(id, clock, `user_${Number(id.slice(1)) % 3}`);
        peers.patch([said]);
        model.set(id, said);
      }
    }
    const tabs = (user: string) =>
      [...model.values()]
        .filter(({ user_id }) => user_id === user)
        .sort((one, other) => other.clock - one.clock);
    const users = [...new Set([...model.values()].map(({ user_id }) => user_id))].sort();
    const people = peers.people().sort((one, other) => (one.user_id < other.user_id ? -1 : 1));
    expect(people.map(({ user_id, state, tabs }) => [user_id, state, tabs])).toEqual(
      users.map((user) => [user, tabs(user)[0]?.state, tabs(user)]),
    );
  }
});
