/**
 * Several clients of one store: the tabs of a browser. One sends at a time, and all hear what became of a mutation.
 *
 * Web Locks and BroadcastChannel reach every tab where they exist. Where they do not, only clients of the same process know of
 * each other; two that then send the same mutation do no harm, because the server knows it by its number.
 */

export interface Tabs {
  /** Runs `task` while no other client of the store runs one. Rejects if the signal aborts before its turn. */
  exclusive<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /** Tells the other clients of the store. */
  tell(message: unknown): void;
  /** What others tell; the client's own messages are not among them. */
  hear(listener: (message: unknown) => void): void;
  close(): void;
}

/** What tabs are reached by, as browsers have it. */
export interface Platform {
  navigator?: { locks?: LockManager };
  BroadcastChannel?: typeof BroadcastChannel;
}

export function tabsOf(store: string, platform: Platform = globalThis): Tabs {
  const name = `drey-client:${store}`;
  const locks = platform.navigator?.locks;
  const exclusive: Tabs["exclusive"] = async (task, signal) =>
    locks ? await locks.request(name, { signal }, task) : await inTurn(name, task, signal);
  const { BroadcastChannel } = platform;
  return { exclusive, ...(BroadcastChannel ? broadcast(new BroadcastChannel(name)) : inProcess(name)) };
}

type Telling = Omit<Tabs, "exclusive">;

function broadcast(channel: BroadcastChannel): Telling {
  // Node keeps a process alive for an open channel unless told otherwise.
  (channel as { unref?: () => void }).unref?.();
  return {
    tell: (message) => channel.postMessage(message),
    hear: (listener) => {
      channel.onmessage = ({ data }) => listener(data);
    },
    close: () => channel.close(),
  };
}

const listening = new Map<string, Set<(message: unknown) => void>>();

function inProcess(name: string): Telling {
  let own: ((message: unknown) => void) | undefined;
  const all = listening.get(name) ?? new Set();
  listening.set(name, all);
  return {
    tell: (message) => {
      for (const listener of all) if (listener !== own) listener(structuredClone(message));
    },
    hear: (listener) => {
      own = listener;
      all.add(listener);
    },
    close: () => {
      if (own) all.delete(own);
      if (all.size === 0) listening.delete(name);
    },
  };
}

const turns = new Map<string, Promise<unknown>>();

function inTurn<T>(name: string, task: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const before = turns.get(name) ?? Promise.resolve();
  const turn = before.then(() => {
    signal.throwIfAborted();
    return task();
  });
  const ended = turn.catch(() => {});
  turns.set(name, ended);
  void ended.then(() => {
    if (turns.get(name) === ended) turns.delete(name);
  });
  return turn;
}
