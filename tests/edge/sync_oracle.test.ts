/**
 * Random histories against what plain SQL makes of the log: clients that go offline, repeat themselves, come late or in
 * another order, lose answers; Workers that are killed in the middle; connections that end before and after the commit.
 *
 * Every run prints its seed; `DREY_ORACLE_SEED=…` repeats one, `DREY_ORACLE_HISTORIES=…` tries more than the 200 of
 * `npm test`.
 */
import { expect, test } from "vitest";
import { atOnce, type OwnedWorkspace, organisation, unique, user, workspace } from "./actors.ts";
import { type Herd, herd } from "./herd.ts";
import { Client, type Met } from "./offline.ts";
import { workspaceScope } from "./pushes.ts";
import { type Random, randomOf } from "./random.ts";
import { judge } from "./verdict.ts";

const HISTORIES = Number(process.env.DREY_ORACLE_HISTORIES ?? 200);
const SEED = Number(process.env.DREY_ORACLE_SEED ?? Date.now() % 1_000_000_007);
/** Histories that run at once: enough to keep two cores busy, and to be in the middle when the Workers are killed. */
const LANES = 8;
/** Every so many histories all Workers are killed. */
const LIFE = 50;

/** One history: rounds of random acts, then everybody comes online until nothing is left to say. */
async function history(place: OwnedWorkspace, seed: number, alive: Herd, met: Met): Promise<Client[]> {
  const random = randomOf(seed);
  const scopes = [workspaceScope(place)];
  if (random(3) === 0) scopes.push({ type: "collection", id: unique("collection") });
  const clients = Array.from(
    { length: 2 + random(1 + random(3)) },
    () => new Client(place, scopes, alive, met),
  );
  await clients[0]?.begin();
  await Promise.all(clients.map((client) => client.pull(randomOf(random(2 ** 31)))));
  for (let rounds = 2 + random(2); rounds > 0; rounds -= 1) {
    const acts = clients.map((client) => {
      for (let edits = random(4); edits > 0; edits -= 1) client.edit(random);
      const [isOffline, reads, resolves] = [random(3) === 0, random(2) === 0, random(3) === 0];
      const own = randomOf(random(2 ** 31));
      return async () => {
        if (isOffline) return;
        if (reads) await client.pull(own);
        await client.push(own);
        if (resolves) await client.resolve(own);
      };
    });
    await Promise.all(acts.map((act) => act()));
  }
  await Promise.all(clients.map((client) => comeOnline(client, randomOf(random(2 ** 31)))));
  for (const client of clients) await until("read to the end", () => client.pull(random));
  return clients;
}

async function comeOnline(client: Client, random: Random): Promise<void> {
  await until("its queue is empty", async () => {
    if (!client.isDone) await client.push(random);
    return client.isDone;
  });
  await until("its resolutions are told", () => client.resolveLost(random));
  await client.settle();
}

async function until(what: string, attempt: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await attempt()); tries += 1) expect(tries, `tries until ${what}`).toBeLessThan(40);
}

test(`${HISTORIES} random histories converge to what plain SQL makes of the log, and lose nothing`, {
  timeout: 60_000 + HISTORIES * 2_000,
}, async () => {
  console.info(`sync oracle: DREY_ORACLE_SEED=${SEED} DREY_ORACLE_HISTORIES=${HISTORIES}`);
  const LIMITS = JSON.stringify({
    anonymous: { base: 100_000 },
    standard: { base: 1_000_000, burst: 100_000 },
    relaxed: { base: 1_000_000, burst: 100_000 },
  });
  await using alive = await herd({ LIMITS }, 2);
  const met: Met = { cut: 0, duplicates: 0, gaps: 0 };
  const totals: Record<string, number> = {};
  let next = 0;
  await atOnce(LANES, async () => {
    let org = await organisation(await user());
    for (let [n, own] = [next++, 1]; n < HISTORIES; n = next++, own += 1) {
      // The gates of quiet workspaces hold on to a part of their organisation's quota.
      if (own % 20 === 0) org = await organisation(await user());
      if (n % LIFE === LIFE - 1) await alive.kill();
      const judged = async () => {
        const place = await workspace(org);
        return judge(place, await history(place, SEED + n, alive, met));
      };
      const counts = await judged().catch((error) => {
        throw new Error(`seed ${SEED}, history ${n}: ${error}`, { cause: error });
      });
      for (const [what, count] of Object.entries(counts)) totals[what] = (totals[what] ?? 0) + count;
    }
  });
  console.info(`sync oracle: ${JSON.stringify({ ...totals, ...met })}`);
  // A run that met no conflict has proved nothing.
  const { applied = 0, merged = 0, diverged = 0, resolved = 0 } = totals;
  expect(Math.min(applied, merged, diverged, met.duplicates)).toBeGreaterThan(HISTORIES / 10);
  expect(Math.min(resolved, met.gaps)).toBeGreaterThanOrEqual(Math.floor(HISTORIES / 50));
  if (HISTORIES >= 4 * LIFE) expect(met.cut, "requests that a killed Worker was at").toBeGreaterThan(0);
});
