/**
 * Makes load from a thread of its own: the stand-ins share the main thread, and must not wait for the load or hold it up.
 */
import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Loaded, Order } from "./load/run.ts";

export type { Loaded, Order };

export class Loader {
  readonly #thread = new Worker(join(import.meta.dirname, "load", "run.ts"));

  /** An error that nobody caught in the thread ends the load, too. */
  async run(order: Order): Promise<Loaded> {
    this.#thread.postMessage(order);
    const [{ loaded, error }] = (await once(this.#thread, "message")) as [
      { loaded?: Loaded; error?: string },
    ];
    if (!loaded) throw new Error(error);
    return loaded;
  }

  async stop(): Promise<void> {
    await this.#thread.terminate();
  }
}
