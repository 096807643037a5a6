/**
 * Random histories of clients against the real server: in the end all show what the log comes to, and each write is somewhere.
 *
 * `DREY_CLIENT_SEED=…` repeats a run, which prints its seed; `DREY_CLIENT_CONVERGE=…` tries more than the 20 of `npm test`.
 */
import { expect, test } from "vitest";
import { home, type OwnedWorkspace, unique } from "../../../tests/edge/actors.ts";
import { neonFault } from "../../../tests/edge/neighbours.ts";
import { catchUp, workspaceScope } from "../../../tests/edge/pushes.ts";
import { type Random, randomOf } from "../../../tests/edge/random.ts";
import { type OwnCell, poll, world } from "../../../tests/edge/world.ts";
import type { Client, Followed, Told, Value } from "../src/index.ts";
import { clientOf, type Disk, indexedDbDisk, memoryDisk, type Network, network } from "./place.ts";

const HISTORIES = Number(process.env.DREY_CLIENT_CONVERGE ?? 20);
const SEED = Number(process.env.DREY_CLIENT_SEED ?? Date.now() % 1_000_000_007);
const LIMITS = JSON.stringify({
  standard: { base: 1_000_000, burst: 100_000 },
  relaxed: { base: 1_000_000, burst: 100_000 },
});

/** One user's device: its client comes and goes, its disk stays. */
interface Device {
  place: OwnedWorkspace;
  disk: Disk;
  wire: Network;
  client: Client;
  followed: Followed | undefined;
  told: Map<string, Told>;
  written: Map<string, Value | null>;
}

async function start(device: Device): Promise<void> {
  const store = await device.disk.open();
  device.client = clientOf(device.place, { store, fetch: device.wire.fetch });
  device.client.on("outcome", (told) => {
    const before = device.told.get(told.ref);
    // Whoever is told twice is told the same.
    if (before) expect(told).toEqual(before);
    device.told.set(told.ref, told);
  });
  await device.client.start();
  device.followed = undefined;
}

async function deviceOf(place: OwnedWorkspace, disk: Disk): Promise<Device> {
  const none = { client: undefined as unknown as Client, followed: undefined };
  const device: Device = { place, disk, wire: network(), told: new Map(), written: new Map(), ...none };
  await start(device);
  return device;
}

/** What one device does next. */
async function step(device: Device, random: Random): Promise<void> {
  const scope = device.client.scope("workspace", device.place.id);
  const act = random(12);
  if (act < 6) {
    const entity = { type: "request", id: `e${random(3)}` };
    const view = await scope.get(entity);
    const isGone = view.value !== null && random(8) === 0;
    const value = { ...view.value, [`f${random(3)}`]: unique("v") };
    const { ref } = await (isGone ? scope.delete(entity, view) : scope.put(entity, value, view));
    device.written.set(ref, isGone ? null : value);
  } else if (act === 6) device.wire.isDown = !device.wire.isDown;
  else if (act === 7) {
    const kind = random(2) ? "drop_after_commit" : "drop_before_commit";
    await neonFault({ kind, match: device.wire.traceId, times: 1 + random(5) });
  } else if (act === 8) {
    device.client.close();
    await start(device);
  } else if (act === 9) {
    device.followed?.stop();
    device.followed = device.followed ? undefined : scope.follow();
  } else await new Promise((resolve) => setImmediate(resolve));
}

async function history(place: OwnedWorkspace, seed: number): Promise<Device[]> {
  const random = randomOf(seed);
  const disks = Array.from({ length: 2 + random(2) }, () => (random(2) ? indexedDbDisk() : memoryDisk()));
  const devices = await Promise.all(disks.map((disk) => deviceOf(place, disk)));
  for (let n = 0; n < 40; n += 1) await step(devices[random(devices.length)] as Device, random);
  for (const { wire, client } of devices) {
    wire.isDown = false;
    client.resume();
  }
  for (const { client, told, written } of devices) {
    await poll("every outcome", async () => client.state.pending === 0 && told.size === written.size);
  }
  // Everything is written: whoever reads to the end from here on has read all of it.
  for (const { client, followed } of devices) {
    followed?.stop();
    await client.scope("workspace", place.id).follow().ready;
  }
  return devices;
}

async function judge(place: OwnedWorkspace, devices: Device[]): Promise<string[]> {
  const log = await catchUp(place.owner, place, workspaceScope(place));
  const state = new Map(log.map(({ key, value }) => [key, value ?? null]));
  const expected = [...state].filter(([, value]) => value !== null).sort();
  const values = new Set(log.map(({ value }) => JSON.stringify(value ?? null)));
  for (const { client, told, written } of devices) {
    const views = await client.scope("workspace", place.id).list();
    expect(views.map(({ entity, value }) => [`${entity.type}/${entity.id}`, value])).toEqual(expected);
    for (const [ref, value] of written) {
      const one = told.get(ref) as Told;
      const { outcome, value: stands, divergence_id } = one.outcome;
      if (outcome === "applied") expect(values).toContain(JSON.stringify(one.value));
      else if (outcome === "merged") expect(values).toContain(JSON.stringify(stands ?? null));
      else if (outcome === "diverged") {
        const { mine } = await client.divergences.get(String(divergence_id));
        expect(mine.value ?? null).toEqual(one.value);
      } else throw new Error(`an outcome nobody should meet here: ${JSON.stringify([one, value])}`);
    }
    client.close();
  }
  return devices.flatMap(({ told }) => [...told.values()].map(({ outcome }) => outcome.outcome));
}

test(`${HISTORIES} random histories of clients end with the same documents everywhere`, {
  timeout: 60_000 + HISTORIES * 5_000,
}, async () => {
  console.info(`client convergence: DREY_CLIENT_SEED=${SEED} DREY_CLIENT_CONVERGE=${HISTORIES}`);
  const cell: OwnCell = await world().restart({ LIMITS }, { isolates: 1 });
  const met = new Set<string>();
  try {
    for (let n = 0; n < HISTORIES; n += 1) {
      const place = await home(cell.api);
      try {
        for (const outcome of await judge(place, await history(place, SEED + n))) met.add(outcome);
      } catch (error) {
        throw new Error(`seed ${SEED + n}: ${error}`, { cause: error });
      }
    }
  } finally {
    await cell.stop();
  }
  if (HISTORIES >= 20) expect([...met].sort()).toEqual(["applied", "diverged", "merged"]);
});
