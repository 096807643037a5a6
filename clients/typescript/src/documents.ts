/**
 * Reading the documents as this client sees them: what the server has told, and its own unsent changes on top.
 */
import type { Entity, Scope, Value } from "./api/types.ts";
import { entityIn, type Held, heldOf, scopePrefix } from "./queue/records.ts";
import type { Store } from "./store/store.ts";

/** A document as it is shown. */
export interface View {
  entity: Entity;
  /** Null: there is none, or it is deleted. */
  value: Value | null;
  /** What stands on the server without this client's unsent changes, and its version; 0: not heard of. */
  server: { value: Value | null; version: number };
  /** Whether changes of this client wait. */
  isPending: boolean;
}

export function getDocument(store: Store, scope: Scope, entity: Entity): Promise<View> {
  return store.transact(async (transaction) => viewOf(entity, await heldOf(transaction, scope, entity)));
}

/** Those that exist, by type and id; of one type if named. */
export function listDocuments(store: Store, scope: Scope, type?: string): Promise<View[]> {
  const prefix = scopePrefix(scope) + (type === undefined ? "" : `${encodeURIComponent(type)}/`);
  return store.transact(async (transaction) => {
    const views: View[] = [];
    await transaction.each<Held>(prefix, (key, held) => views.push(viewOf(entityIn(key), held)) > 0);
    return views.filter(({ value }) => value !== null);
  });
}

function viewOf(entity: Entity, { version, value, pending }: Held): View {
  const shown = pending ? pending.value : value;
  return { entity, value: shown, server: { value, version }, isPending: pending !== undefined };
}
