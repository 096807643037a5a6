/**
 * Taking a change into the queue: its number, and what it was made from.
 */
import type { Entity, Outcome, Scope, Value } from "../api/types.ts";
import { DreyError } from "../http/errors.ts";
import type { Transaction } from "../store/store.ts";
import { isEqual } from "./merge.ts";
import { documentKey, type Held, heldOf, META, metaOf, placeOf, type Queued, queueKey } from "./records.ts";

/** A change that somebody wants. */
export interface Draft {
  scope: Scope;
  entity: Entity;
  /** Null deletes. */
  value: Value | null;
  /** The version it was made from, null for none. Absent: what the client shows at the moment. */
  base?: number | null | undefined;
  /** If the very same waits or stands already, that one is meant: for callers who repeat themselves. */
  once?: boolean;
}

/** A change that was taken. */
export interface Taken {
  ref: string;
  /** Of what stands already; else it is told when the change is settled. */
  outcome?: Outcome;
}

/**
 * The largest document that is sure to fit a push of 1 MiB beside its names and a clock of 256 clients. The server's own limit
 * is smaller and its to tell: what is above that limit is answered `rejected`.
 */
const MOST_BYTES = 1_048_576 - 65_536;

/** Far more than a name may have, and little enough to be told so by the server. */
const MOST_NAME = 1_024;

/** The value as it will be sent: what JSON cannot say is gone now, not later. */
export function sendable(value: Value | null): Value | null {
  if (value === null) return null;
  const text = JSON.stringify(value);
  if (typeof value !== "object" || text === undefined) {
    throw new DreyError("invalid-value", "a document is an object");
  }
  if (byteLength(text) > MOST_BYTES) throw new DreyError("value-too-large", "the document fits no push");
  return JSON.parse(text) as Value;
}

/** A scope or an entity by its names alone, whatever else the caller's object has: a push that says more is refused whole. */
export function named<Named extends Scope | Entity>({ type, id }: Named): Named {
  for (const name of [type, id] as unknown[]) {
    // Half a surrogate pair is no character, and no JSON that anybody has to take.
    const isText = typeof name === "string" && !/\p{Surrogate}/u.test(name);
    if (isText && name.length <= MOST_NAME) continue;
    throw new DreyError("invalid-name", "the names of scopes and documents are short texts");
  }
  return { type, id } as Named;
}

export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Gives the mutation its number and keeps it. */
export async function enqueue(transaction: Transaction, draft: Draft): Promise<Taken> {
  const { scope, entity, value } = draft;
  const meta = await metaOf(transaction);
  const held = await heldOf(transaction, scope, entity);
  const same = draft.once && (await repeated(transaction, draft, held));
  if (same) return same;
  const origin = await originOf(transaction, draft, held);
  const id = meta.last_id + 1;
  const named = { ref: crypto.randomUUID(), scope, entity };
  const queued: Queued =
    value === null ? { ...named, op: "delete", ...origin } : { ...named, op: "upsert", value, ...origin };
  transaction.put(META, { ...meta, last_id: id });
  transaction.put(queueKey(id), queued);
  const pending = { ids: [...(held.pending?.ids ?? []), id], value };
  transaction.put(documentKey(scope, entity), { ...held, pending } satisfies Held);
  return queued;
}

/** What was asked for before, if that is still what this client would leave. */
async function repeated(
  transaction: Transaction,
  { value, base }: Draft,
  { pending, version, value: stands }: Held,
): Promise<Taken | undefined> {
  if (!isEqual(pending ? pending.value : stands, value)) return undefined;
  if (pending) return transaction.get<Queued>(queueKey(pending.ids.at(-1) ?? 0));
  // The caller was closed before it heard of the outcome. One who has seen a newer version wants the old value back.
  const isRepeated = version > 0 && version >= (base ?? 0);
  return isRepeated ? { ref: crypto.randomUUID(), outcome: { outcome: "applied", version } } : undefined;
}

/** On top of an unsent change: from what that was made of, whatever was read since. */
async function originOf(transaction: Transaction, { scope, base }: Draft, { version, pending }: Held) {
  // What is no version is none that was seen.
  const seenVersion = typeof base === "number" && Number.isSafeInteger(base) ? base : null;
  if (base !== undefined) return { base_version: seenVersion, seen: {}, is_chained: false };
  const before = await transaction.get<Queued>(queueKey(pending?.ids.at(-1) ?? 0));
  if (before) return { base_version: before.base_version, seen: before.seen, is_chained: true };
  const { seen } = await placeOf(transaction, scope);
  return { base_version: version || null, seen, is_chained: false };
}
