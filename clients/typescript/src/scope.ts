/**
 * One scope of a client: its documents, and following what others write.
 */
import type { Entity, Outcome, Scope, Value } from "./api/types.ts";
import { getDocument, listDocuments, type View } from "./documents.ts";
import type { Draft } from "./queue/enqueue.ts";
import type { Store } from "./store/store.ts";

/** A change that is kept. */
export interface Written {
  ref: string;
  /** What becomes of it; waits as long as it takes, also through `setToken`. */
  outcome: Promise<Outcome>;
}

export interface Followed {
  /** Resolves when the log was read to its end once; rejects if it cannot be read. */
  ready: Promise<void>;
  stop(): void;
}

export interface ScopeParts {
  store: Store;
  write(draft: Draft): Promise<Written>;
  follow(scope: Scope): Followed;
}

export class ScopeHandle {
  readonly scope: Scope;
  readonly #parts: ScopeParts;

  constructor(scope: Scope, parts: ScopeParts) {
    this.scope = scope;
    this.#parts = parts;
  }

  get(entity: Entity): Promise<View> {
    return getDocument(this.#parts.store, this.scope, entity);
  }

  list(type?: string): Promise<View[]> {
    return listDocuments(this.#parts.store, this.scope, type);
  }

  /**
   * Writes a document, whole. `seen` is the view that it was made from, if that may be older than what `get` gives now: then
   * what was written in between is merged or diverges, and is not overwritten.
   */
  put(entity: Entity, value: Value, seen?: View): Promise<Written> {
    return this.#parts.write({ scope: this.scope, entity, value, ...baseOf(seen) });
  }

  delete(entity: Entity, seen?: View): Promise<Written> {
    return this.#parts.write({ scope: this.scope, entity, value: null, ...baseOf(seen) });
  }

  /** Reads the log to its end and goes on with it until stopped; `change` tells what comes. */
  follow(): Followed {
    return this.#parts.follow(this.scope);
  }
}

/** A view with changes of one's own on it stands on those, which the queue knows best. */
function baseOf(seen: View | undefined): { base?: number | null } {
  return seen && !seen.isPending ? { base: seen.server.version || null } : {};
}
