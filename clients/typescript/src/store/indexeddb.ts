/**
 * A store that outlives the page: one IndexedDB database, one table.
 */
import type { Store, Transaction } from "./store.ts";

const TABLE = "kept";
/** Above every key that begins with the prefix: no key of ours has this character. */
const LAST = "\uffff";

/** Opens the database `name`, made if it is not there. `factory` is for programs that bring an IndexedDB of their own. */
export async function indexedDbStore(name: string, factory: IDBFactory = indexedDB): Promise<Store> {
  const opening = factory.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(TABLE);
  const database = await answered(opening);
  // Another version of this client wants to change the database: it must not wait for us.
  database.onversionchange = () => database.close();
  return {
    name,
    close: () => database.close(),
    transact: (act) => transact(database, act),
  };
}

async function transact<T>(database: IDBDatabase, act: (transaction: Transaction) => Promise<T>): Promise<T> {
  // What is queued must survive the end of the machine, not only of the page.
  const transaction = database.transaction(TABLE, "readwrite", { durability: "strict" });
  const kept = new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("the transaction was aborted"));
  });
  // Its failure is told by whoever awaits it below, also when `act` fails first.
  kept.catch(() => {});
  try {
    const result = await act(over(transaction.objectStore(TABLE)));
    await kept;
    return result;
  } catch (error) {
    abort(transaction);
    throw error;
  }
}

/** One that has ended cannot be aborted, and need not be. */
function abort(transaction: IDBTransaction): void {
  try {
    transaction.abort();
  } catch {}
}

function over(table: IDBObjectStore): Transaction {
  return {
    get: (key) => answered(table.get(key)),
    each: (prefix, visit) => each(table, prefix, visit),
    put: (key, value) => table.put(value, key),
    delete: (key) => table.delete(key),
  };
}

function each<T>(
  table: IDBObjectStore,
  prefix: string,
  visit: (key: string, value: T) => boolean,
): Promise<void> {
  const range = globalThis.IDBKeyRange.bound(prefix, prefix + LAST);
  const request = table.openCursor(range);
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const cursor = request.result;
      if (cursor && visit(String(cursor.key), cursor.value as T)) cursor.continue();
      else resolve();
    };
  });
}

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
