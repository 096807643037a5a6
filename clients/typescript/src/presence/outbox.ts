/**
 * What this client shows: at most one update a tick, always the newest, and all of it again on each new connection.
 */
import type { Value } from "../api/types.ts";
import { DreyError } from "../http/errors.ts";
import type { Timer } from "../timer.ts";
import type { Limits } from "./frames.ts";

export interface Shown {
  /** null: connected and not seen. */
  state: Value | null;
  at: string[];
}

export type Say = (text: string) => void;

/** Of a server that has not said yet. */
const LIMITS: Limits = { state_bytes: 4_096, frames_per_s: 50, tick_ms: 33 };

export class Outbox {
  readonly #timer: Timer;
  readonly #signal: AbortSignal;
  #limits = LIMITS;
  #shown: Shown = { state: null, at: [] };
  #clock = 0;
  #say: Say | undefined;
  /** What the connection was told last. */
  #said = "";
  #isWaiting = false;

  constructor(timer: Timer, signal: AbortSignal) {
    this.#timer = timer;
    this.#signal = signal;
  }

  /** Throws for a state that the room would not take. */
  show(shown: Shown): void {
    const bytes = new TextEncoder().encode(JSON.stringify(shown.state)).length;
    if (bytes > this.#limits.state_bytes) {
      throw new DreyError(
        "state-too-large",
        `a state of ${bytes} bytes, at most ${this.#limits.state_bytes}`,
      );
    }
    this.#shown = structuredClone(shown);
    this.#tell();
  }

  /** A new connection is told all, also that nothing is shown: the room keeps what this client showed before. */
  begin(say: Say, limits: Limits): void {
    [this.#say, this.#limits, this.#said] = [say, limits, ""];
    this.#tell();
  }

  end(): void {
    this.#say = undefined;
  }

  #tell(): void {
    const text = saying(this.#shown);
    if (this.#isWaiting || !this.#say || text === this.#said) return;
    this.#said = text;
    // Above the clocks of an earlier life under the same client id.
    this.#clock = Math.max(this.#clock + 1, this.#timer.now());
    this.#say(`{"kind":"update","clock":${this.#clock},${text}}`);
    this.#isWaiting = true;
    void this.#timer.wait(this.#pauseMs(), this.#signal).then(() => {
      this.#isWaiting = false;
      this.#tell();
    });
  }

  /** The room tells nothing more often than each tick, and takes no more than so many frames. */
  #pauseMs(): number {
    return Math.max(this.#limits.tick_ms, 1_000 / this.#limits.frames_per_s);
  }
}

/** The members of an update but its clock. */
function saying({ state, at }: Shown): string {
  return JSON.stringify({ state, at }).slice(1, -1);
}
