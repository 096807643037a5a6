/**
 * Taking the outcomes of a push: out of the queue, into the documents, and kept until they were told.
 */
import type { Outcome, PushResult, Result, Value } from "../api/types.ts";
import type { Transaction } from "../store/store.ts";
import { merge } from "./merge.ts";
import {
  documentKey,
  epochOf,
  type Held,
  heldOf,
  META,
  type Meta,
  metaOf,
  outcomeKey,
  placeOf,
  type Queued,
  queueKey,
  type Settled,
} from "./records.ts";

/** Takes an answer; gives how many it settles. One for another client id, or taken before, changes nothing. */
export async function settle(
  transaction: Transaction,
  clientId: string,
  answer: PushResult,
): Promise<number> {
  const meta = await metaOf(transaction);
  if (meta.client_id !== clientId) return 0;
  const before = meta.settled_id;
  for (const result of answer.results) {
    const outcome = outcomeOf(result);
    // What comes after a mutation that is to be sent again was not processed either.
    if (!outcome) break;
    const mutation = await transaction.get<Queued>(queueKey(result.id));
    if (!mutation || result.id !== meta.settled_id + 1) continue;
    meta.settled_id = result.id;
    await document(transaction, meta, mutation, outcome);
    transaction.delete(queueKey(result.id));
    transaction.put(outcomeKey(result.id), { id: result.id, mutation, outcome } satisfies Settled);
  }
  // What the server has not counted was never processed, so it may still be brought up to date.
  meta.attempted_id = Math.max(meta.settled_id, Math.min(meta.attempted_id, answer.last_mutation_id));
  transaction.put(META, meta);
  return meta.settled_id - before;
}

/** The outcome in the end; none if the mutation is to be sent again. */
function outcomeOf({ id: _, epoch: _epoch, original, ...result }: Result): Outcome | undefined {
  if (result.outcome === "retry") return undefined;
  if (result.outcome !== "duplicate" || !original) return result as Outcome;
  const { epoch: _original, ...outcome } = original;
  return outcome as unknown as Outcome;
}

async function document(
  transaction: Transaction,
  meta: Meta,
  mutation: Queued,
  outcome: Outcome,
): Promise<void> {
  const { scope, entity } = mutation;
  const { pending, ...held } = await heldOf(transaction, scope, entity);
  const stands = standing(mutation, outcome);
  // What the log was read beyond, it has told: perhaps that the document is deleted, and then nothing is held of it.
  const newest = Math.max(held.version, epochOf(await placeOf(transaction, scope)));
  const known = stands && stands.version > newest ? { ...held, ...stands } : held;
  const ids = pending?.ids.filter((id) => id > meta.settled_id) ?? [];
  const value = pending?.value ?? null;
  const shown = stands ? await rebase(transaction, meta, mutation, stands, ids, value) : value;
  const next: Held = ids.length > 0 ? { ...known, pending: { ids, value: shown } } : known;
  transaction.put(documentKey(scope, entity), next);
}

interface Standing {
  version: number;
  value: Value | null;
}

/** What stands on the server after the mutation, as far as its outcome says. */
function standing(mutation: Queued, { outcome, version, value }: Outcome): Standing | undefined {
  if (version === undefined || outcome === "duplicate") return undefined;
  if (outcome === "applied") return { version, value: mutation.value ?? null };
  // A value that the server does not tell any more is no deleted one: the log has what stands.
  return value === undefined ? undefined : { version, value };
}

/**
 * What was made on top of the mutation, and not sent yet, is made on top of what became of it: else the client would collide
 * with itself. Gives what the last of them leaves.
 */
async function rebase(
  transaction: Transaction,
  meta: Meta,
  mutation: Queued,
  stands: Standing,
  ids: number[],
  last: Value | null,
): Promise<Value | null> {
  let [before, after] = [mutation.value ?? null, stands.value];
  for (const id of ids) {
    const later = await transaction.get<Queued>(queueKey(id));
    if (!later?.is_chained || id <= meta.attempted_id) return last;
    const merged = merge(before, later.value ?? null, after);
    // An edit of what is deleted now, and a delete of what was edited: not for us to choose.
    if (!merged || (merged.value === null) !== (later.op === "delete")) return last;
    before = later.value ?? null;
    after = merged.value;
    const { value: _, ...rest } = later;
    const rebased = { ...rest, base_version: stands.version };
    transaction.put(queueKey(id), after === null ? rebased : { ...rebased, value: after });
  }
  return ids.length > 0 ? after : last;
}
