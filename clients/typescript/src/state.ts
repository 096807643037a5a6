/**
 * Where the client stands, as one value that a user interface can show.
 */
import type { Scope } from "./api/types.ts";
import type { DreyError } from "./http/errors.ts";
import { placeKey } from "./queue/records.ts";

/** `waiting`: tries again by itself at `retry_at`; `paused`: not before somebody helps, see `problem`. */
export type Status = "stopped" | "idle" | "pushing" | "waiting" | "paused";

export interface SyncState {
  status: Status;
  /** Why it waits or is paused. */
  problem: DreyError | null;
  /** Milliseconds since the epoch; null unless it waits. */
  retry_at: number | null;
  /** Mutations without an outcome. */
  pending: number;
  /** The newest mutation whose outcome is known; 0: none. */
  last_acknowledged: number;
  /** Of this client; null until the server was asked. */
  open_divergences: number | null;
  /** Epochs of the followed scopes that are known to exist and were not read yet. */
  behind: number;
}

/** The end of a scope's log, or a place in it. */
export interface Position {
  generation: number;
  epoch: number;
}

/** Reads an offset; the beginning is epoch 0 of no generation. */
export function positionOf(offset: string): Position {
  const [generation = "", epoch = ""] = offset.split("_");
  return epoch === ""
    ? { generation: 0, epoch: 0 }
    : { generation: Number(generation), epoch: Number(epoch) };
}

export class State {
  #state: SyncState = {
    status: "stopped",
    problem: null,
    retry_at: null,
    pending: 0,
    last_acknowledged: 0,
    open_divergences: null,
    behind: 0,
  };
  readonly #heads = new Map<string, Position>();
  readonly #places = new Map<string, Position>();
  readonly #onChange: (state: SyncState) => void;

  constructor(onChange: (state: SyncState) => void) {
    this.#onChange = onChange;
  }

  get current(): SyncState {
    return this.#state;
  }

  set(change: Partial<SyncState>): void {
    const next = { ...this.#state, ...change, behind: this.#behind() };
    const isChanged = Object.entries(next).some(
      ([name, value]) => value !== this.#state[name as keyof SyncState],
    );
    this.#state = next;
    if (isChanged) this.#onChange(next);
  }

  /** A status without a reason. */
  go(status: Status): void {
    this.set({ status, problem: null, retry_at: null });
  }

  /** One more or fewer, once the number is known. */
  countDivergence(by: 1 | -1): void {
    const { open_divergences: open } = this.#state;
    if (open !== null) this.set({ open_divergences: Math.max(0, open + by) });
  }

  /** The ends of logs, as an answer told them. */
  heads(scopes: { type: string; id: string; generation: number; epoch: number }[]): void {
    for (const { type, id, ...head } of scopes) {
      const key = placeKey({ type, id } as Scope);
      if (isBefore(this.#heads.get(key), head)) this.#heads.set(key, head);
    }
    this.set({});
  }

  /** A followed scope was read up to there. */
  read(scope: Scope, offset: string, isEnd: boolean): void {
    const place = positionOf(offset);
    this.#places.set(placeKey(scope), place);
    if (isEnd) this.#heads.set(placeKey(scope), place);
    this.set({});
  }

  unfollow(scope: Scope): void {
    this.#places.delete(placeKey(scope));
    this.set({});
  }

  #behind(): number {
    let behind = 0;
    for (const [key, place] of this.#places) {
      const head = this.#heads.get(key) ?? place;
      // Another generation is read from its beginning.
      behind += Math.max(0, head.epoch - (head.generation === place.generation ? place.epoch : 0));
    }
    return behind;
  }
}

/** Whether `one` is an earlier place than `other`, or none. */
export function isBefore(one: Position | undefined, other: Position): boolean {
  if (!one || one.generation !== other.generation) return !one || one.generation < other.generation;
  return one.epoch < other.epoch;
}
