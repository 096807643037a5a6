/**
 * Judges a history: what the clients were told and hold, against what plain SQL makes of the log.
 */
import { expect } from "vitest";
import { call, expectStatus, type OwnedWorkspace } from "./actors.ts";
import { sql, uuidOf } from "./database.ts";
import { type Client, type Document, keyOf } from "./offline.ts";
import type { Mutation } from "./pushes.ts";
import type { Divergence, Outcome } from "./shapes.ts";

interface Change {
  scope_id: string;
  server_epoch: number;
  entity_id: string;
  value: Document;
  client_id: string;
  mutation_id: number;
}

/** A divergence as its row has it. */
interface Kept {
  divergence_id: string;
  scope_id: string;
  entity_id: string;
  base_version: number | null;
  base: Document;
  mine: Document;
  mine_client_id: string;
  mine_mutation_id: number;
  version: number;
  theirs: Document;
  theirs_client_id: string;
  theirs_mutation_id: number;
  resolved_take: "mine" | "theirs" | "value" | null;
  resolved_version: number | null;
}

type Writes = Map<string, Change>;
type Counts = Record<string, number>;

/** What Postgres says of a history, in one look. */
interface Looked {
  /** The log as plain SQL has it. */
  log: Change[];
  /** The state as plain SQL computes it from the log. */
  state: Pick<Change, "scope_id" | "entity_id" | "value">[];
  /** The rows of `sync_state` that are not what the log says. */
  wrong: unknown[];
  kept: Kept[];
}

const LOOK = `with log as (select * from sync_change where workspace_id = $1), latest as (
    select distinct on (scope_id, entity_type, entity_id) * from log
    order by scope_id, entity_type, entity_id, server_epoch desc)
  select
    (select coalesce(json_agg(l order by l.scope_id, l.server_epoch), '[]') from log l) as log,
    (select coalesce(json_agg(l), '[]') from latest l) as state,
    (select coalesce(json_agg(s), '[]') from latest l
     full join (select * from sync_state where workspace_id = $1) s using (scope_id, entity_type, entity_id)
     where (l.server_epoch, l.value::text, l.client_id, l.mutation_id, l.value is null)
       is distinct from (s.version, s.value::text, s.client_id, s.mutation_id, s.deleted)) as wrong,
    (select coalesce(json_agg(d), '[]') from sync_divergence d where d.workspace_id = $1) as kept`;

const nameOf = (client: string, mutation: number) => `${client} ${mutation}`;

/** Throws at the first thing that is not so; answers how often each outcome was met. */
export async function judge(place: OwnedWorkspace, clients: Client[]): Promise<Counts> {
  const [looked] = await sql<Looked & Record<string, unknown>>(LOOK, [uuidOf(place.id)]);
  if (!looked) throw new Error("Postgres has nothing to say");
  const { log, wrong, kept } = looked;
  const state = new Map(
    looked.state.map((row) => [keyOf({ id: row.scope_id }, { id: row.entity_id }), row.value]),
  );
  expect(wrong).toEqual([]);
  for (const client of clients) {
    expect(new Map([...client.view].map(([key, held]) => [key, held.confirmed]))).toEqual(state);
  }
  for (const changes of Object.values(Object.groupBy(log, (change) => change.scope_id))) {
    expect(changes?.map(({ server_epoch }) => server_epoch)).toEqual(changes?.map((_, n) => n + 1));
  }
  const writes: Writes = new Map(log.map((change) => [nameOf(change.client_id, change.mutation_id), change]));
  expect(writes.size, "no mutation is written twice").toBe(log.length);
  const counts = everyOutcome(clients, writes, kept);
  const resolved = kept.filter((one) => one.resolved_take !== null);
  counts.resolved = resolved.length;
  const written = (counts.applied ?? 0) + (counts.merged ?? 0) + resolved.length;
  expect(log.length, "the log has what was told, and nothing else").toBe(written);
  for (const one of resolved) endsOnce(one, log);
  const [first] = kept;
  if (first) await isTold(place, clients, first);
  overwritesNothingUnseen(clients, log);
  return counts;
}

/** Every outcome has reached its client, and says what is so. */
function everyOutcome(clients: Client[], writes: Writes, kept: Kept[]): Counts {
  const counts: Counts = {};
  const byWrite = new Map(kept.map((one) => [nameOf(one.mine_client_id, one.mine_mutation_id), one]));
  expect(byWrite.size, "a write diverges once").toBe(kept.length);
  for (const client of clients) {
    expect([...client.outcomes.keys()].sort((a, b) => a - b)).toEqual([...client.sent.keys()]);
    for (const [id, outcome] of client.outcomes) {
      counts[outcome.outcome] = (counts[outcome.outcome] ?? 0) + 1;
      const name = nameOf(client.id, id);
      const [write, sent] = [writes.get(name), client.sent.get(id)];
      if (outcome.outcome === "diverged") {
        expect(write).toBeUndefined();
        namesTwoWrites(outcome, sent, byWrite.get(name), writes);
      } else {
        expect(["applied", "merged"], "an outcome that can be met here").toContain(outcome.outcome);
        const value = outcome.outcome === "applied" ? (sent?.value ?? null) : outcome.value;
        const told = [sent?.scope.id, sent?.entity.id, outcome.version, value];
        expect([write?.scope_id, write?.entity_id, write?.server_epoch, write?.value]).toEqual(told);
      }
    }
  }
  expect(counts.diverged ?? 0, "each divergence is some client's outcome").toBe(kept.length);
  return counts;
}

/** A divergence names two real writes: the one that was sent, and one of the log; and their base, if it is there. */
function namesTwoWrites(
  outcome: Outcome,
  sent: Mutation | undefined,
  kept: Kept | undefined,
  writes: Writes,
): void {
  expect([kept?.scope_id, kept?.entity_id, kept?.mine]).toEqual([
    sent?.scope.id,
    sent?.entity.id,
    sent?.value ?? null,
  ]);
  const theirs = writes.get(nameOf(kept?.theirs_client_id ?? "", kept?.theirs_mutation_id ?? 0));
  expect([theirs?.scope_id, theirs?.entity_id, theirs?.server_epoch, theirs?.value]).toEqual([
    kept?.scope_id,
    kept?.entity_id,
    kept?.version,
    kept?.theirs,
  ]);
  expect([outcome.version, outcome.value]).toEqual([kept?.version, kept?.theirs]);
  const base = [...writes.values()].find(
    (write) =>
      write.scope_id === kept?.scope_id &&
      write.entity_id === kept.entity_id &&
      write.server_epoch === kept.base_version,
  );
  expect([kept?.base_version, kept?.base]).toEqual([sent?.base_version, base?.value ?? null]);
}

/** The write that ended a divergence is in the log once, under its name, and went over nobody else's work. */
function endsOnce(kept: Kept, log: Change[]): void {
  const ofEntity = log.filter((one) => one.scope_id === kept.scope_id && one.entity_id === kept.entity_id);
  const at = ofEntity.findIndex(({ server_epoch }) => server_epoch === kept.resolved_version);
  const [write, before] = [ofEntity[at], ofEntity[at - 1]];
  expect(uuidOf(write?.client_id ?? "")).toBe(kept.divergence_id);
  if (kept.resolved_take === "theirs") {
    expect(write?.value).toEqual(before?.value);
    return;
  }
  if (kept.resolved_take === "mine") expect(write?.value).toEqual(kept.mine);
  const between = ofEntity.slice(0, at).filter(({ server_epoch }) => server_epoch > kept.version);
  for (const { client_id } of between) expect(client_id).toBe(kept.mine_client_id);
}

/** The row is what the API tells of it; tried with one, a history has many. */
async function isTold(place: OwnedWorkspace, clients: Client[], kept: Kept): Promise<void> {
  const ids = clients.flatMap((client) =>
    [...client.outcomes.values()].map((one) => one.divergence_id ?? ""),
  );
  const id = ids.find((one) => one && uuidOf(one) === kept.divergence_id);
  const path = `/v1/workspaces/${place.id}/sync/divergences/${id}`;
  const told = expectStatus(await call<Divergence>(place.owner, "GET", path), 200).body;
  const { mine, theirs } = told;
  expect([told.scope.id, told.entity.id, told.base_version, told.base, told.version]).toEqual([
    kept.scope_id,
    kept.entity_id,
    kept.base_version,
    kept.base,
    kept.version,
  ]);
  expect([mine.client_id, mine.mutation_id, mine.value]).toEqual([
    kept.mine_client_id,
    kept.mine_mutation_id,
    kept.mine,
  ]);
  expect([theirs.client_id, theirs.mutation_id, theirs.value]).toEqual([
    kept.theirs_client_id,
    kept.theirs_mutation_id,
    kept.theirs,
  ]);
  expect(told.resolution?.version ?? null).toBe(kept.resolved_version);
}

/**
 * Nothing is lost silently: a field that one write of the log set and the next took away or changed was changed by a
 * client who had seen it, or who had made that value himself. Every value is made once; others carry it along.
 */
function overwritesNothingUnseen(clients: Client[], log: Change[]): void {
  const byId = new Map(clients.map((client) => [client.id, client]));
  const last = new Map<string, Change>();
  for (const change of log) {
    const key = keyOf({ id: change.scope_id }, { id: change.entity_id });
    const before = last.get(key);
    last.set(key, change);
    const client = byId.get(change.client_id);
    const sent = client?.sent.get(change.mutation_id);
    if (!before || !client || !sent || before.client_id === change.client_id) continue;
    const seen =
      (sent.clock[before.client_id] ?? 0) >= before.mutation_id || sent.base_version === before.server_epoch;
    const base = log.find(
      (one) => one.scope_id === change.scope_id && one.server_epoch === (sent.base_version ?? 0),
    );
    for (const [field, value] of Object.entries(before.value ?? {})) {
      if (change.value !== null && Object.is(change.value[field], value)) continue;
      const wasInBase = base?.entity_id === change.entity_id && Object.is(base.value?.[field], value);
      const isAllowed = seen || wasInBase || client.own.has(value);
      expect(isAllowed, JSON.stringify({ field, before, sent, change })).toBe(true);
    }
  }
}
