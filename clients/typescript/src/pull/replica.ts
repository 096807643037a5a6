/**
 * Keeping the documents of scopes as their logs have them.
 */
import type { Scope } from "../api/types.ts";
import type { Http } from "../http/http.ts";
import type { ClientEvents } from "../options.ts";
import { epochOf, metaOf, placeOf, START } from "../queue/records.ts";
import type { Followed } from "../scope.ts";
import type { State } from "../state.ts";
import type { Store } from "../store/store.ts";
import type { Timer } from "../timer.ts";
import type { Wakes } from "../wakes.ts";
import { apply, entityOf, forget } from "./apply.ts";
import { follow, type Live } from "./follow.ts";
import type { Chunk } from "./read.ts";

export interface ReplicaParts {
  http: Http;
  store: Store;
  timer: Timer;
  state: State;
  signal: AbortSignal;
  pollMs: number;
  wakes: Wakes;
  live: Live;
  emit<Name extends "change" | "resolved" | "unreadable">(name: Name, event: ClientEvents[Name]): void;
}

/** Who resolves a divergence writes under its id. */
const RESOLVER = /^div_/;

export class Replica {
  readonly #parts: ReplicaParts;

  constructor(parts: ReplicaParts) {
    this.#parts = parts;
  }

  follow(scope: Scope): Followed {
    const { state, emit, signal } = this.#parts;
    const stopping = new AbortController();
    const both = AbortSignal.any([signal, stopping.signal]);
    const ready = new Promise<void>((resolve, reject) => {
      this.#follow(scope, both, resolve).then(resolve, (problem) => {
        emit("unreadable", { scope, problem });
        reject(problem);
      });
    });
    // Whoever does not wait for it hears of it as `unreadable`.
    ready.catch(() => {});
    const stop = () => {
      stopping.abort();
      state.unfollow(scope);
    };
    return { ready, stop };
  }

  async #follow(scope: Scope, signal: AbortSignal, onEnd: () => void): Promise<void> {
    const { store, state } = this.#parts;
    const place = await store.transact((transaction) => placeOf(transaction, scope));
    let { load } = place;
    const onGone = async () => {
      await store.transact(async (transaction) => {
        const { attempted_id } = await metaOf(transaction);
        await forget(transaction, scope, attempted_id);
      });
    };
    const onChunk = async (chunk: Chunk) => {
      if (chunk.from === START) load = crypto.randomUUID();
      await this.#apply(scope, chunk, load);
      if (epochOf({ offset: chunk.next }) > 0) load = undefined;
      state.read(scope, chunk.next, chunk.isEnd);
      if (chunk.isEnd) onEnd();
    };
    await follow({ ...this.#parts, signal, scope, offset: place.offset, onChunk, onGone });
  }

  async #apply(scope: Scope, chunk: Chunk, load: string | undefined): Promise<void> {
    const { store, state, emit } = this.#parts;
    const entities = await store.transact((transaction) => apply(transaction, scope, chunk, load));
    if (entities.length > 0) emit("change", { scope, entities });
    for (const message of chunk.messages) {
      const divergence_id = message.headers.client_id;
      if (!RESOLVER.test(divergence_id)) continue;
      state.countDivergence(-1);
      emit("resolved", { scope, entity: entityOf(message), divergence_id });
    }
  }
}
