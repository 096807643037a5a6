/**
 * Taking what was read of a log into the documents.
 */
import type { Entity, Message, Scope } from "../api/types.ts";
import {
  documentKey,
  entityIn,
  epochOf,
  type Held,
  heldOf,
  type Place,
  placeKey,
  placeOf,
  type Queued,
  queueKey,
  START,
  scopePrefix,
} from "../queue/records.ts";
import type { Transaction } from "../store/store.ts";
import type { Chunk } from "./read.ts";

/** A clock names at most 256 clients, its own included. */
const MOST_SEEN = 255;

/**
 * Takes a chunk; gives the entities that changed. What is known already changes nothing: versions only grow.
 *
 * `reading` names the snapshot that whoever reads this is in the middle of. Of several who read one store, in tabs of a
 * browser, the first to begin names what it holds and moves its place; the others only bring documents until he is through.
 */
export async function apply(
  transaction: Transaction,
  scope: Scope,
  chunk: Chunk,
  reading: string | undefined,
): Promise<Entity[]> {
  const changed = new Map<string, Entity>();
  const before = await placeOf(transaction, scope);
  const { seen } = before;
  const isFirst = before.load === reading || (chunk.from === START && before.offset === START);
  const load = isFirst ? reading : undefined;
  for (const message of chunk.messages) {
    const entity = entityOf(message);
    const held = await heldOf(transaction, scope, entity);
    const { version, client_id, mutation_id } = message.headers;
    const isNew = version > held.version;
    const next: Held = isNew ? { ...held, version, value: message.value ?? null } : held;
    if (isNew) changed.set(message.key, entity);
    if (isNew || load) transaction.put(documentKey(scope, entity), load ? { ...next, load } : next);
    const newest = Math.max(seen[client_id] ?? 0, mutation_id);
    delete seen[client_id];
    seen[client_id] = newest;
  }
  if (!isFirst) return [...changed.values()];
  const place: Place = { offset: chunk.next, seen: lately(seen), load };
  const epoch = epochOf(place);
  const gone = load && epoch > 0 ? await sweep(transaction, scope, load, epoch) : [];
  transaction.put(placeKey(scope), epoch > 0 ? { ...place, load: undefined } : place);
  return [...changed.values(), ...gone];
}

/** The key is `type/id`. */
export function entityOf({ key, type }: Message): Entity {
  return { type, id: key.slice(type.length + 1) };
}

/** A snapshot tells what there is. What it did not name, and is not newer, was deleted: gives those. */
async function sweep(transaction: Transaction, scope: Scope, load: string, epoch: number): Promise<Entity[]> {
  const gone: [string, Held][] = [];
  await transaction.each<Held>(scopePrefix(scope), (key, held) => {
    const isGone = held.load !== load && held.version > 0 && held.version <= epoch;
    return isGone ? gone.push([key, held]) > 0 : true;
  });
  for (const [key, { pending }] of gone) {
    if (pending) transaction.put(key, { version: 0, value: null, pending } satisfies Held);
    else transaction.delete(key);
  }
  return gone.map(([key]) => entityIn(key));
}

function lately(seen: Place["seen"]): Place["seen"] {
  return Object.fromEntries(Object.entries(seen).slice(-MOST_SEEN));
}

/**
 * Forgets what was read of the scope: its log is another one now. Versions of the old one mean nothing in it, so what is queued
 * and was not sent says that it was made from none, and meets what stands as a stranger.
 */
export async function forget(transaction: Transaction, scope: Scope, attempted: number): Promise<void> {
  const documents: [string, Held][] = [];
  await transaction.each<Held>(scopePrefix(scope), (key, held) => documents.push([key, held]) > 0);
  for (const [key, { pending }] of documents) {
    if (!pending) {
      transaction.delete(key);
      continue;
    }
    transaction.put(key, { version: 0, value: null, pending } satisfies Held);
    for (const id of pending.ids.filter((queued) => queued > attempted)) {
      const queued = await transaction.get<Queued>(queueKey(id));
      if (queued) transaction.put(queueKey(id), { ...queued, base_version: null, seen: {} });
    }
  }
  transaction.put(placeKey(scope), { offset: START, seen: {} } satisfies Place);
}
