/**
 * Where the client keeps its queue, its documents and its places: ordered keys, values as `structuredClone` copies them.
 */

/** One transaction. What it awaits must be its own reads: IndexedDB ends it when it waits for anything else. */
export interface Transaction {
  get<T>(key: string): Promise<T | undefined>;
  /** Visits what begins with `prefix`, in the order of the keys, until `visit` gives false. */
  each<T>(prefix: string, visit: (key: string, value: T) => boolean): Promise<void>;
  put(key: string, value: unknown): void;
  delete(key: string): void;
}

export interface Store {
  /** What two clients of one store have in common, in all tabs and windows of a browser. */
  readonly name: string;
  /** All of it happens or nothing, one after the other; when it resolves it is kept. */
  transact<T>(act: (transaction: Transaction) => Promise<T>): Promise<T>;
  close(): void;
}
