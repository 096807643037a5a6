/**
 * Laws of the queue, over random histories: clients that write, crash, open a second tab, and a server that fails at any moment.
 *
 * `DREY_CLIENT_SEED=…` repeats a run, which prints its seed; `DREY_CLIENT_HISTORIES=…` tries more than the 300 of `npm test`.
 */
import { expect, test } from "vitest";
import { type Random, randomOf } from "../../../tests/edge/random.ts";
import { poll } from "../../../tests/edge/world.ts";
import { Client, type Outcome, type Timer } from "../src/index.ts";
import { isEqual, merge } from "../src/queue/merge.ts";
import { Model } from "./model.ts";
import { type Disk, indexedDbDisk, memoryDisk } from "./place.ts";

const HISTORIES = Number(process.env.DREY_CLIENT_HISTORIES ?? 300);
const SEED = Number(process.env.DREY_CLIENT_SEED ?? Date.now() % 1_000_000_007);

/** Waits end at once; a client that is closed meanwhile never asks again. */
function timerOf(random: Random): Timer {
  const wait = () => new Promise<void>((resolve) => setImmediate(resolve));
  return { now: () => 0, random: () => random(1_000) / 1_000, wait };
}

interface Run {
  model: Model;
  disk: Disk;
  random: Random;
  told: Map<number, Outcome[]>;
  tabs: Client[];
}

async function open({ model, disk, random, told }: Run): Promise<Client> {
  const client = new Client({
    api: "http://model.invalid",
    org: "org",
    workspace: "ws",
    token: "token",
    clientName: "Laws",
    store: await disk.open(),
    fetch: model.fetch,
    timer: timerOf(random),
  });
  client.on("outcome", ({ value, outcome }) => {
    const n = Number(value?.n);
    told.set(n, [...(told.get(n) ?? []), outcome]);
  });
  await client.start();
  return client;
}

async function history(seed: number): Promise<Run & { written: number }> {
  const random = randomOf(seed);
  const disk = random(4) === 0 ? indexedDbDisk() : memoryDisk();
  const run: Run = { model: new Model(random), disk, random, told: new Map(), tabs: [] };
  run.tabs.push(await open(run));
  let written = 0;
  for (let step = 0; step < 25; step += 1) {
    const tab = run.tabs[random(run.tabs.length)] as Client;
    const act = random(10);
    if (act < 7) {
      const entity = { type: "request", id: `e${random(3)}` };
      await tab.scope("workspace", "ws").put(entity, { n: written });
      written += 1;
    } else if (act === 7 && run.tabs.length < 3) run.tabs.push(await open(run));
    else if (act === 8) {
      // A crash: what it was doing ends in the middle.
      tab.close();
      run.tabs = run.tabs.filter((other) => other !== tab);
      if (run.tabs.length === 0) run.tabs.push(await open(run));
    } else await new Promise((resolve) => setImmediate(resolve));
  }
  run.model.isCalm = true;
  for (const tab of run.tabs) tab.resume();
  await poll(
    "an empty queue",
    async () => run.told.size === written && run.tabs.every(({ state }) => state.pending === 0),
  );
  return { ...run, written };
}

test(`${HISTORIES} random histories: each write is processed once, in its order, and its outcome told`, {
  timeout: 60_000 + HISTORIES * 200,
}, async () => {
  console.info(`client laws: DREY_CLIENT_SEED=${SEED} DREY_CLIENT_HISTORIES=${HISTORIES}`);
  for (let n = 0; n < HISTORIES; n += 1) {
    const run = await history(SEED + n).catch((error) => {
      throw new Error(`seed ${SEED + n}: ${error}`, { cause: error });
    });
    const { model, told, tabs, written } = run;
    const all = Array.from({ length: written }, (_, index) => index);
    expect(model.processed, `seed ${SEED + n}`).toEqual(all);
    for (const index of all) {
      for (const outcome of told.get(index) ?? []) {
        expect(outcome, `seed ${SEED + n}, write ${index}`).toEqual(model.outcomes.get(index));
      }
    }
    for (const tab of tabs) tab.close();
  }
});

/** A small document, so that two of them often meet. */
function document(random: Random, depth = 2): Record<string, unknown> {
  const members = Array.from({ length: random(4) }, () => {
    const value = depth > 0 && random(3) === 0 ? document(random, depth - 1) : random(3);
    return [["a", "b", "__proto__", "d"][random(4)], random(6) === 0 ? [value] : value];
  });
  return Object.fromEntries(members);
}

test("a merge without the other side's changes is one's own, and is the same from both sides", () => {
  const random = randomOf(SEED);
  let merged = 0;
  for (let n = 0; n < 20_000; n += 1) {
    const [base, mine, theirs] = [document(random), document(random), document(random)];
    expect(merge(base, mine, base)).toEqual({ value: mine });
    expect(merge(base, base, theirs)).toEqual({ value: theirs });
    expect(merge(base, mine, mine)).toEqual({ value: mine });
    const [one, other] = [merge(base, mine, theirs), merge(base, theirs, mine)];
    expect(isEqual(one?.value, other?.value), JSON.stringify([SEED, base, mine, theirs])).toBe(true);
    merged += one ? 1 : 0;
  }
  // Random documents that never merge would prove nothing.
  expect(merged).toBeGreaterThan(1_000);
});

test("what is deleted and what is edited do not merge", () => {
  expect(merge({ a: 1 }, null, { a: 2 })).toBeUndefined();
  expect(merge({ a: 1 }, { a: 2 }, null)).toBeUndefined();
  expect(merge({ a: 1 }, null, { a: 1 })).toEqual({ value: null });
  expect(merge(null, { a: 1 }, null)).toEqual({ value: { a: 1 } });
  expect(merge({ list: [1] }, { list: [1, 2] }, { list: [0, 1] })).toBeUndefined();
});
