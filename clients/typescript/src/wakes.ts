/**
 * Who says that scopes have moved, and who waits for it: while a room is joined, its socket wakes all that is followed, and no
 * read waits at the server.
 */
import type { Scope } from "./api/types.ts";
import type { Moved } from "./presence/frames.ts";
import { placeKey } from "./queue/records.ts";
import { isBefore, type Position, positionOf } from "./state.ts";
import type { Timer } from "./timer.ts";

/** A notice may be lost. */
const LOOK_MS = 60_000;

export class Wakes {
  readonly #timer: Timer;
  readonly #onMoved: (scopes: Moved[]) => void;
  readonly #rooms = new Set<object>();
  readonly #heads = new Map<string, Position>();
  readonly #waiting = new Set<{ isBehind(): boolean; go(): void }>();

  constructor(timer: Timer, onMoved: (scopes: Moved[]) => void) {
    this.#timer = timer;
    this.#onMoved = onMoved;
  }

  /** Whether somebody tells. */
  get isOpen(): boolean {
    return this.#rooms.size > 0;
  }

  /** This room tells from now on. What it told before nobody knows, so all look. */
  begin(room: object): void {
    this.#rooms.add(room);
    for (const { go } of [...this.#waiting]) go();
  }

  /** It does not any more. */
  end(room: object): void {
    this.#rooms.delete(room);
    if (!this.isOpen) for (const { go } of [...this.#waiting]) go();
  }

  tell(scopes: Moved[]): void {
    for (const { type, id, generation, epoch } of scopes) {
      const key = placeKey({ type, id } as Scope);
      const head = { generation, epoch };
      if (isBefore(this.#heads.get(key), head)) this.#heads.set(key, head);
    }
    this.#onMoved(scopes);
    for (const { isBehind, go } of [...this.#waiting]) if (isBehind()) go();
  }

  /** Resolves when there may be something after this offset, or nobody tells, or it is time to look anyway. */
  async next(scope: Scope, offset: string, signal: AbortSignal): Promise<void> {
    const isBehind = () => {
      const head = this.#heads.get(placeKey(scope));
      return head !== undefined && isBefore(positionOf(offset), head);
    };
    if (!this.isOpen || isBehind()) return;
    const waking = new AbortController();
    const waiter = { isBehind, go: () => waking.abort() };
    this.#waiting.add(waiter);
    await this.#timer.wait(LOOK_MS, AbortSignal.any([signal, waking.signal]));
    this.#waiting.delete(waiter);
  }
}
