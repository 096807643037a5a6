/**
 * Sending what is queued, in order, until nothing is left or only somebody else can help.
 *
 * In scope: what follows from each answer. Out of scope: what a batch holds and what an outcome changes (queue/).
 */
import { backoffMs } from "../http/backoff.ts";
import { ApiError, DreyError, hasCode, isCredential, isTooLarge, isTransient } from "../http/errors.ts";
import type { Http } from "../http/http.ts";
import { beginAgain, renumber } from "../queue/renumber.ts";
import { settle } from "../queue/settle.ts";
import { type Batch, take, untake } from "../queue/take.ts";
import type { State } from "../state.ts";
import type { Store } from "../store/store.ts";
import type { Tabs } from "../tabs.ts";
import type { Timer } from "../timer.ts";
import type { Session } from "./session.ts";

const PUSH = "POST /v1/workspaces/{ws}/sync/push";

export interface PusherParts {
  http: Http;
  store: Store;
  tabs: Tabs;
  timer: Timer;
  state: State;
  session: Session;
  signal: AbortSignal;
  /** Tells what is settled to whoever listens, and forgets it then. */
  deliver(): Promise<void>;
  /** Tells that nothing is sent any more until somebody helps. */
  onPause(problem: DreyError): void;
}

export class Pusher {
  readonly #parts: PusherParts;
  #isRunning = false;
  #isWanted = false;
  #isPaused = false;
  /** Halved while the server finds a call too large. */
  #shrink = 1;

  constructor(parts: PusherParts) {
    this.#parts = parts;
  }

  /** There is something to send. Does nothing while it is paused. */
  kick(): void {
    this.#isWanted = true;
    if (!this.#isRunning && !this.#isPaused && !this.#parts.signal.aborted) void this.#run();
  }

  /** What paused it is mended. */
  resume(): void {
    this.#isPaused = false;
    this.kick();
  }

  async #run(): Promise<void> {
    const { tabs, signal } = this.#parts;
    this.#isRunning = true;
    try {
      while (this.#isWanted && !this.#isPaused && !signal.aborted) {
        this.#isWanted = false;
        await tabs.exclusive(() => this.#drain(), signal);
      }
    } catch (error) {
      // Closed while it waited for its turn, which is no fault.
      if (!signal.aborted) this.#pause(asDreyError(error));
    } finally {
      this.#isRunning = false;
    }
  }

  async #drain(): Promise<void> {
    const { signal, state, deliver } = this.#parts;
    for (let attempt = 0; !signal.aborted && !this.#isPaused; ) {
      let batch: Batch | undefined;
      try {
        await deliver();
        await this.#parts.session.ensure(signal);
        batch = await this.#take();
        if (!batch) return state.go("idle");
        state.go("pushing");
        await this.#push(batch);
        attempt = 0;
      } catch (error) {
        if (signal.aborted) return;
        await this.#recover(error, batch, attempt);
        attempt += 1;
      }
    }
  }

  #take(): Promise<Batch | undefined> {
    const { mutations, bytes } = this.#parts.session.caps;
    const caps = { mutations: Math.ceil(mutations / this.#shrink), bytes: bytes / this.#shrink };
    return this.#parts.store.transact((transaction) => take(transaction, caps));
  }

  async #push({ meta, mutations }: Batch): Promise<void> {
    const { http, store, state, signal } = this.#parts;
    const { client_id, session_id, acked_id: acked_mutation_id } = meta;
    const body = { client_id, session_id, acked_mutation_id, mutations };
    const answer = await http.call(PUSH, { body, signal });
    state.heads(answer.body.scopes);
    const count = await store.transact((transaction) => settle(transaction, client_id, answer.body));
    const detail = "the server asks for the same again";
    if (count === 0) throw new ApiError(503, { code: "nothing-settled", detail }, 0);
  }

  /** Makes the next attempt one that may succeed, or pauses. */
  async #recover(error: unknown, batch: Batch | undefined, attempt: number): Promise<void> {
    const { store, session } = this.#parts;
    if (isTransient(error)) return this.#wait(error, attempt);
    if (isCredential(error)) return this.#pause(error);
    if (hasCode(error, "mutation-gap") && typeof error.problem.expected_id === "number") {
      const expected = error.problem.expected_id;
      await store.transact((transaction) => renumber(transaction, expected));
    } else if (hasCode(error, "client-expired")) {
      await store.transact(beginAgain);
      await session.over(batch?.meta.session_id ?? null);
    } else if (hasCode(error, "session-expired")) {
      if (batch) await store.transact((transaction) => untake(transaction, batch));
      await session.over(batch?.meta.session_id ?? null);
    } else if (isTooLarge(error) && (batch?.mutations.length ?? 0) > 1) {
      this.#shrink *= 2;
    } else {
      return this.#pause(asDreyError(error));
    }
    // A server that is never content is not asked without a pause.
    if (attempt > 1) await this.#wait(asDreyError(error), attempt);
  }

  async #wait(problem: DreyError, attempt: number): Promise<void> {
    const { timer, signal, state } = this.#parts;
    const hint = "retryAfterMs" in problem ? Number(problem.retryAfterMs) : 0;
    const ms = backoffMs(attempt, hint, timer.random());
    state.set({ status: "waiting", problem, retry_at: timer.now() + ms });
    await timer.wait(ms, signal);
  }

  #pause(problem: DreyError): void {
    this.#isPaused = true;
    this.#isWanted = true;
    this.#parts.state.set({ status: "paused", problem, retry_at: null });
    this.#parts.onPause(problem);
  }
}

function asDreyError(error: unknown): DreyError {
  if (error instanceof DreyError) return error;
  return new DreyError("store", `the store failed: ${error instanceof Error ? error.message : error}`, error);
}
