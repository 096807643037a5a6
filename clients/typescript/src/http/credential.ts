/**
 * The token that requests carry. One that was refused is not sent again: whoever needs it waits for another.
 */
import type { ApiError } from "./errors.ts";

export class Credential {
  #token: string;
  #refused = false;
  readonly #waiting = new Set<() => void>();
  readonly #onRefusal: (problem: ApiError) => void;

  /** `onRefusal` is called once for each token that turns out to be over. */
  constructor(token: string, onRefusal: (problem: ApiError) => void) {
    this.#token = token;
    this.#onRefusal = onRefusal;
  }

  get token(): string {
    return this.#token;
  }

  set(token: string): void {
    this.#token = token;
    this.#refused = false;
    for (const go of [...this.#waiting]) go();
  }

  /** A request that carried `token` was answered 401; if there is another token since, that says nothing. */
  refuse(token: string, problem: ApiError): void {
    if (this.#refused || token !== this.#token) return;
    this.#refused = true;
    this.#onRefusal(problem);
  }

  /** Resolves when there is a token that nobody has refused yet, or when the signal aborts. */
  renewed(signal: AbortSignal): Promise<void> {
    if (!this.#refused || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const go = () => {
        this.#waiting.delete(go);
        signal.removeEventListener("abort", go);
        resolve();
      };
      this.#waiting.add(go);
      signal.addEventListener("abort", go);
    });
  }
}
