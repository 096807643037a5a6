/**
 * One object per scope of documents: pushes tell it how far the log is, live readers wait in it. It holds the calls of
 * those who wait and answers them all at once; what they read they read themselves.
 */
import { DurableObject } from "cloudflare:workers";
import type { Env } from "./environment.ts";

export class Feed extends DurableObject<Env> {
  #epoch = 0;
  #waiting: (() => void)[] = [];

  hear(epoch: number): void {
    this.#epoch = Math.max(this.#epoch, epoch);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Ends when the log is known to be longer than this, or when the time is over. */
  async wait(epoch: number): Promise<void> {
    if (this.#epoch > epoch) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      timer = setTimeout(resolve, Number(this.env.LONG_POLL_MS));
    });
    clearTimeout(timer);
  }
}
