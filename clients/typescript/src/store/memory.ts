/**
 * A store that lasts as long as the process: for tests, and for programs that need no queue after a restart.
 */
import type { Store, Transaction } from "./store.ts";

export function memoryStore(name: string = crypto.randomUUID()): Store {
  const kept = new Map<string, unknown>();
  let last: Promise<unknown> = Promise.resolve();
  return {
    name,
    close: () => {},
    transact: (act) => {
      const turn = last.then(() => run(kept, act));
      last = turn.catch(() => {});
      return turn;
    },
  };
}

const GONE = Symbol("gone");

async function run<T>(kept: Map<string, unknown>, act: (transaction: Transaction) => Promise<T>): Promise<T> {
  const changed = new Map<string, unknown>();
  const held = (key: string) => (changed.has(key) ? changed.get(key) : kept.has(key) ? kept.get(key) : GONE);
  const result = await act({
    get: async <V>(key: string) => (held(key) === GONE ? undefined : (structuredClone(held(key)) as V)),
    each: async <V>(prefix: string, visit: (key: string, value: V) => boolean) => {
      const keys = [...new Set([...kept.keys(), ...changed.keys()])].filter((key) => key.startsWith(prefix));
      const found = keys.filter((key) => held(key) !== GONE).sort();
      found.every((key) => visit(key, structuredClone(held(key)) as V));
    },
    put: (key, value) => changed.set(key, structuredClone(value)),
    delete: (key) => changed.set(key, GONE),
  });
  for (const [key, value] of changed) {
    if (value === GONE) kept.delete(key);
    else kept.set(key, value);
  }
  return result;
}
