/**
 * Makes load from a thread of its own: the stand-ins share the main thread, and must not wait for the load or hold it up.
 */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Loaded, Order } from "./load/run.ts";

export type { Loaded, Order };

export class Loader {
  readonly #thread = new Worker(join(import.meta.dirname, "load", "run.ts"));

  run(order: Order): Promise<Loaded> {
    return new Promise((resolve, reject) => {
      this.#thread.once("message", ({ loaded, error }: { loaded?: Loaded; error?: string }) => {
        if (loaded) resolve(loaded);
        else reject(new Error(error));
      });
      this.#thread.postMessage(order);
    });
  }

  async stop(): Promise<void> {
    await this.#thread.terminate();
  }
}
