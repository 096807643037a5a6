/**
 * Random histories against what plain SQL makes of the log: clients that go offline, repeat themselves, come late, lose answers.
 *
 * Every run prints its seed; `DREY_ORACLE_SEED=…` repeats one, `DREY_ORACLE_HISTORIES=…` tries more than the 200 of `npm test`.
 */
import { expect, test } from "vitest";
import { atOnce, call, expectStatus, home, type OwnedWorkspace, trace, unique } from "./actors.ts";
import { sql, uuidOf } from "./database.ts";
import { neonFault } from "./neighbours.ts";
import { type Device, device, type Mutation, push, readScope, type Scope, workspaceScope } from "./pushes.ts";
import type { Divergence, Outcome, StateMessage } from "./shapes.ts";
import { type OwnCell, world } from "./world.ts";

const HISTORIES = Number(process.env.DREY_ORACLE_HISTORIES ?? 200);
const SEED = Number(process.env.DREY_ORACLE_SEED ?? Date.now() % 1_000_000_007);
/** Histories that run at once: enough to keep two cores busy. */
const LANES = 8;

/** A small generator of its own, so that a seed is a history (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Random = (below: number) => number;
type Document = Record<string, unknown> | null;

/** What a client holds of an entity: what the log has told it, and its own edits on top. */
interface Held {
  version: number;
  confirmed: Document;
  shown: Document;
}

/** One offline-first client: a queue, a view, and the offset up to which it has read. */
class Client {
  readonly device: Device;
  readonly sent = new Map<number, Mutation>();
  readonly outcomes = new Map<number, Outcome>();
  queue: Mutation[] = [];
  view = new Map<string, Held>();
  /** What it has seen of each client in the log. */
  seen: Record<string, number> = {};
  offset = "-1";

  readonly place: OwnedWorkspace;
  readonly scope: Scope;

  constructor(place: OwnedWorkspace, scope: Scope, api: string) {
    this.place = place;
    this.scope = scope;
    this.device = device({ ...place.owner, api }, place, unique("c"));
  }

  /** Writes what all begin with. */
  async begin(): Promise<void> {
    for (const id of ["e0", "e1", "e2"]) {
      this.device.lastId += 1;
      const value = Object.fromEntries(["f0", "f1", "f2", "f3"].map((field) => [field, unique("v")]));
      const clock = { [this.device.clientId]: this.device.lastId };
      const entity = { type: "request", id };
      const mutation: Mutation = {
        id: this.device.lastId,
        scope: this.scope,
        entity,
        op: "upsert",
        base_version: null,
        clock,
        value,
      };
      this.queue.push(mutation);
      this.sent.set(mutation.id, mutation);
    }
    for (const { id, ...outcome } of expectStatus(await push(this.device, this.queue), 200).body.results) {
      this.learn(id, outcome);
    }
  }

  /** Writes one entity locally; it is sent when the client is next online. */
  edit(random: Random): void {
    const id = `e${random(4)}`;
    const held = this.view.get(id) ?? { version: 0, confirmed: null, shown: null };
    const deletes = held.shown !== null && random(8) === 0;
    const shown = deletes ? null : { ...held.shown, [`f${random(4)}`]: unique("v") };
    // An edit on top of an unsent one was made from what that was made from, whatever has been read since.
    const pending = this.queue.findLast((mutation) => mutation.entity.id === id);
    const base_version = pending ? pending.base_version : held.version || null;
    const seen = pending ? pending.clock : random(4) ? this.seen : {};
    this.device.lastId += 1;
    const own = this.device.lastId;
    const mutation: Mutation = {
      id: own,
      scope: this.scope,
      entity: { type: "request", id },
      op: deletes ? "delete" : "upsert",
      base_version,
      // Some clients send no clock; their base says what they have seen.
      clock: Object.keys(seen).length > 0 ? { ...seen, [this.device.clientId]: own } : {},
      ...(deletes ? {} : { value: shown }),
    };
    this.queue.push(mutation);
    this.sent.set(own, mutation);
    this.view.set(id, { ...held, shown });
  }

  /** Sends what is queued, with some of what was already answered; learns its outcomes, unless the answer is lost. */
  async push(random: Random): Promise<void> {
    const done = [...this.sent.values()].filter(
      ({ id }) => id < (this.queue[0]?.id ?? Number.POSITIVE_INFINITY),
    );
    const again = random(3) ? [] : done.slice(-1 - random(3));
    const batch = [...again, ...this.queue];
    if (batch.length === 0) return;
    const mine = trace();
    const lost = random(5);
    if (lost < 2) {
      const kind = lost ? "drop_before_commit" : "drop_after_commit";
      // More often than the Worker tries: the client is left without an answer.
      await neonFault({ kind, match: mine.id, times: 1 + random(4) });
    }
    const answer = await push(this.device, batch, { traceparent: mine.traceparent });
    if (answer.status === 503) return;
    for (const { id, original, ...outcome } of expectStatus(answer, 200).body.results) {
      if (outcome.outcome === "retry") continue;
      this.learn(id, outcome.outcome === "duplicate" ? (original as Outcome) : outcome);
    }
  }

  private learn(id: number, outcome: Outcome): void {
    const known = this.outcomes.get(id);
    // Whoever asks twice is told the same.
    if (known) expect(outcome).toEqual(known);
    this.outcomes.set(id, outcome);
    this.queue = this.queue.filter((mutation) => mutation.id !== id);
  }

  /** Reads the log to its end, and shows its own unsent edits on top of it. */
  async pull(): Promise<void> {
    for (let isAtEnd = false; !isAtEnd; ) {
      const answer = await readScope(this.device.user, this.place, this.scope, `?offset=${this.offset}`);
      for (const message of expectStatus(answer, 200).body) this.apply(message);
      this.offset = String(answer.headers.get("stream-next-offset"));
      isAtEnd = answer.headers.get("stream-up-to-date") === "true";
    }
    for (const [id, held] of this.view) {
      const own = this.queue.findLast((mutation) => mutation.entity.id === id);
      this.view.set(id, { ...held, shown: own ? ((own.value ?? null) as Document) : held.confirmed });
    }
  }

  private apply({ key, value, headers }: StateMessage): void {
    const id = key.slice(key.indexOf("/") + 1);
    const confirmed = (value ?? null) as Document;
    const held = this.view.get(id);
    this.seen[headers.client_id] = Math.max(this.seen[headers.client_id] ?? 0, headers.mutation_id);
    this.view.set(id, { version: headers.version, confirmed, shown: held?.shown ?? confirmed });
  }
}

interface Change {
  server_epoch: number;
  entity_id: string;
  value: Document;
  client_id: string;
  mutation_id: number;
}

/** The log as plain SQL has it. */
function changes(place: OwnedWorkspace): Promise<Change[]> {
  return sql<Change & Record<string, unknown>>(
    `select server_epoch::int, entity_id, value, client_id, mutation_id::int from sync_change
     where workspace_id = $1 order by server_epoch`,
    [uuidOf(place.id)],
  );
}

/** The state as plain SQL computes it from the log. */
async function oracle(place: OwnedWorkspace): Promise<Map<string, Document>> {
  const rows = await sql<{ entity_id: string; value: Document }>(
    `select distinct on (entity_id) entity_id, value from sync_change where workspace_id = $1
     order by entity_id, server_epoch desc`,
    [uuidOf(place.id)],
  );
  return new Map(rows.map(({ entity_id, value }) => [entity_id, value]));
}

/** One history: rounds of random acts, then everybody comes online until nothing is left to say. */
async function history(place: OwnedWorkspace, seed: number, apis: string[]): Promise<Client[]> {
  const random = randomOf(seed);
  const scope = workspaceScope(place);
  const clients = Array.from(
    { length: 2 + random(3) },
    (_, n) => new Client(place, scope, apis[n % apis.length] ?? ""),
  );
  await clients[0]?.begin();
  await Promise.all(clients.map((client) => client.pull()));
  for (let round = 0; round < 3; round += 1) {
    const acts = clients.map((client) => {
      for (let edits = random(4); edits > 0; edits -= 1) client.edit(random);
      const [isOffline, reads] = [random(3) === 0, random(2) === 0];
      const own = randomOf(random(2 ** 31));
      return async () => {
        if (isOffline) return;
        if (reads) await client.pull();
        await client.push(own);
      };
    });
    await Promise.all(acts.map((act) => act()));
  }
  for (const client of clients) {
    for (let tries = 0; client.queue.length > 0; tries += 1) {
      expect(tries, "pushes until a queue is empty").toBeLessThan(40);
      await client.push(random);
    }
  }
  for (const client of clients) await client.pull();
  return clients;
}

async function judge(place: OwnedWorkspace, clients: Client[]): Promise<Record<string, number>> {
  const [log, state] = [await changes(place), await oracle(place)];
  expect(log.map(({ server_epoch }) => server_epoch)).toEqual(log.map((_, n) => n + 1));
  const writes = new Map(log.map((change) => [`${change.client_id} ${change.mutation_id}`, change]));
  expect(writes.size, "no mutation is written twice").toBe(log.length);
  const counts: Record<string, number> = {};
  let diverged = 0;
  for (const client of clients) {
    expect(new Map([...client.view].map(([id, held]) => [id, held.confirmed]))).toEqual(state);
    expect([...client.outcomes.keys()].sort((a, b) => a - b)).toEqual([...client.sent.keys()]);
    for (const [id, outcome] of client.outcomes) {
      counts[outcome.outcome] = (counts[outcome.outcome] ?? 0) + 1;
      const write = writes.get(`${client.device.clientId} ${id}`);
      const sent = client.sent.get(id)?.value ?? null;
      if (outcome.outcome === "applied")
        expect([write?.server_epoch, write?.value]).toEqual([outcome.version, sent]);
      else if (outcome.outcome === "merged")
        expect([write?.server_epoch, write?.value]).toEqual([outcome.version, outcome.value]);
      else if (outcome.outcome === "diverged") {
        expect(write).toBeUndefined();
        diverged += 1;
        await names(place, client, id, outcome, writes);
      } else throw new Error(`an outcome nobody should meet here: ${JSON.stringify(outcome)}`);
    }
  }
  const kept = await sql<{ n: number }>(
    "select count(*)::int as n from sync_divergence where workspace_id = $1",
    [uuidOf(place.id)],
  );
  expect(kept[0]?.n, "each divergence is some client's outcome").toBe(diverged);
  overwritesNothingUnseen(clients, log);
  return counts;
}

/** A divergence names two real writes: the one that was sent, and one of the log. */
async function names(
  place: OwnedWorkspace,
  client: Client,
  id: number,
  outcome: Outcome,
  writes: Map<string, Change>,
): Promise<void> {
  const path = `/v1/workspaces/${place.id}/sync/divergences/${outcome.divergence_id}`;
  const found = expectStatus(await call<Divergence>(client.device.user, "GET", path), 200).body;
  expect([found.mine.client_id, found.mine.mutation_id]).toEqual([client.device.clientId, id]);
  expect(found.mine.value).toEqual(client.sent.get(id)?.value ?? null);
  const theirs = writes.get(`${found.theirs.client_id} ${found.theirs.mutation_id}`);
  expect([theirs?.server_epoch, theirs?.value]).toEqual([found.version, found.theirs.value]);
  expect(found.theirs.value).toEqual(outcome.value);
}

/**
 * Nothing is lost silently: a field that one write of the log set and the next took away or changed was changed by a
 * client who had seen it, or whose own write was of that field. Every value of a field is unique, so each names its writer.
 */
function overwritesNothingUnseen(clients: Client[], log: Change[]): void {
  const author = new Map<unknown, string>();
  for (const client of clients) {
    for (const mutation of client.sent.values()) {
      for (const value of Object.values((mutation.value ?? {}) as Record<string, unknown>)) {
        if (!author.has(value)) author.set(value, client.device.clientId);
      }
    }
  }
  const last = new Map<string, Change>();
  for (const change of log) {
    const before = last.get(change.entity_id);
    last.set(change.entity_id, change);
    const sent = clients
      .find(({ device: { clientId } }) => clientId === change.client_id)
      ?.sent.get(change.mutation_id);
    if (!before || !sent || before.client_id === change.client_id) continue;
    const base = log.find(({ server_epoch }) => server_epoch === (sent.base_version ?? 0));
    for (const [field, value] of Object.entries(before.value ?? {})) {
      if (change.value !== null && Object.is(change.value[field], value)) continue;
      const seen =
        (sent.clock[before.client_id] ?? 0) >= before.mutation_id ||
        sent.base_version === before.server_epoch;
      const wasInBase = base?.entity_id === change.entity_id && Object.is(base.value?.[field], value);
      const isOwn = author.get(value) === change.client_id;
      expect(
        seen || wasInBase || isOwn,
        `${field} of ${change.entity_id} at epoch ${change.server_epoch}`,
      ).toBe(true);
    }
  }
}

test(`${HISTORIES} random histories converge to what plain SQL makes of the log, and lose nothing`, {
  timeout: 60_000 + HISTORIES * 600,
}, async () => {
  console.info(`sync oracle: DREY_ORACLE_SEED=${SEED} DREY_ORACLE_HISTORIES=${HISTORIES}`);
  const LIMITS = JSON.stringify({
    anonymous: { base: 100_000 },
    standard: { base: 1_000_000, burst: 100_000 },
    relaxed: { base: 1_000_000, burst: 100_000 },
  });
  const cell: OwnCell = await world().restart({ LIMITS }, { isolates: 3 });
  const totals: Record<string, number> = {};
  try {
    let next = 0;
    await atOnce(LANES, async () => {
      for (let n = next++; n < HISTORIES; n = next++) {
        const place = await home(cell.api);
        const clients = await history(place, SEED + n, cell.apis).catch((error) => {
          throw new Error(`seed ${SEED}, history ${n}: ${error}`, { cause: error });
        });
        const counts = await judge(place, clients).catch((error) => {
          throw new Error(`seed ${SEED}, history ${n}: ${error}`, { cause: error });
        });
        for (const [outcome, count] of Object.entries(counts))
          totals[outcome] = (totals[outcome] ?? 0) + count;
      }
    });
  } finally {
    await cell.stop();
  }
  console.info(`sync oracle: ${JSON.stringify(totals)}`);
  // A run that met no conflict has proved nothing.
  expect(Math.min(totals.applied ?? 0, totals.merged ?? 0, totals.diverged ?? 0)).toBeGreaterThan(
    HISTORIES / 10,
  );
});
