/**
 * Telling what became of mutations: to the caller who waits for one, to whoever listens, to the other tabs.
 *
 * An outcome is kept until it was told, and acknowledged to the server only then: a crash in between tells it twice, never not.
 */
import type { Outcome } from "../api/types.ts";
import type { Store } from "../store/store.ts";
import { META, type Meta, metaOf, OUTCOMES, outcomeKey, type Settled } from "./records.ts";

export class Outcomes {
  readonly #waiting = new Map<string, ((outcome: Outcome) => void)[]>();
  readonly #onOutcome: (settled: Settled) => void;

  constructor(onOutcome: (settled: Settled) => void) {
    this.#onOutcome = onOutcome;
  }

  /** The outcome of the mutation with this `ref`. Ask before it can be sent. */
  of(ref: string): Promise<Outcome> {
    return new Promise((resolve) => this.#waiting.set(ref, [...(this.#waiting.get(ref) ?? []), resolve]));
  }

  told(settled: Settled): void {
    const { ref } = settled.mutation;
    for (const resolve of this.#waiting.get(ref) ?? []) resolve(settled.outcome);
    this.#waiting.delete(ref);
    this.#onOutcome(settled);
  }
}

/** Tells each outcome that was not told yet, and gives how the queue stands then. */
export async function deliver(store: Store, tell: (settled: Settled) => void): Promise<Meta> {
  const untold: Settled[] = [];
  const meta = await store.transact(async (transaction) => {
    await transaction.each<Settled>(OUTCOMES, (_, settled) => untold.push(settled) > 0);
    return metaOf(transaction);
  });
  for (const settled of untold) tell(settled);
  const last = untold.at(-1);
  if (!last) return meta;
  return store.transact(async (transaction) => {
    for (const { id } of untold) transaction.delete(outcomeKey(id));
    const current = await metaOf(transaction);
    // What was settled before the client began again has numbers that the server does not know it by.
    const known = Math.min(last.id, current.settled_id);
    const acked: Meta = { ...current, acked_id: Math.max(current.acked_id, known) };
    transaction.put(META, acked);
    return acked;
  });
}
