/**
 * Other numbers for what waits: after a server that was restored, or under another client id.
 */
import type { Transaction } from "../store/store.ts";
import {
  documentKey,
  type Held,
  heldOf,
  META,
  metaOf,
  numberIn,
  QUEUE,
  type Queued,
  queueKey,
} from "./records.ts";

/** The queue begins at `first`. What was sent counts as unsent: the server has just said that it processed none of it. */
export async function renumber(transaction: Transaction, first: number): Promise<void> {
  const meta = await metaOf(transaction);
  const waiting: [number, Queued][] = [];
  await transaction.each<Queued>(QUEUE, (key, queued) => waiting.push([numberIn(key), queued]) > 0);
  const shift = first - (meta.settled_id + 1);
  for (const [id] of waiting) transaction.delete(queueKey(id));
  const moved = new Set<string>();
  for (const [id, queued] of waiting) {
    transaction.put(queueKey(id + shift), queued);
    moved.add(JSON.stringify([queued.scope, queued.entity]));
  }
  for (const names of moved) {
    const [scope, entity] = JSON.parse(names) as [Queued["scope"], Queued["entity"]];
    const held = await heldOf(transaction, scope, entity);
    if (!held.pending) continue;
    const ids = held.pending.ids.map((id) => id + shift);
    transaction.put(documentKey(scope, entity), {
      ...held,
      pending: { ...held.pending, ids },
    } satisfies Held);
  }
  const settled = { attempted_id: first - 1, settled_id: first - 1, acked_id: first - 1 };
  transaction.put(META, { ...meta, last_id: meta.last_id + shift, ...settled });
}

/** Under a client id that the server does not know yet. The outcomes that were not told yet keep their old numbers. */
export async function beginAgain(transaction: Transaction): Promise<void> {
  await renumber(transaction, 1);
  const meta = await metaOf(transaction);
  transaction.put(META, { ...meta, client_id: crypto.randomUUID(), session_id: null });
}
