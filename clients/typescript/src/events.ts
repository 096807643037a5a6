/**
 * Who listens to what. A listener that throws ends nothing: its error goes to those who listen to errors.
 */

type Listener<T> = (event: T) => void;

export class Events<All extends { error: unknown }> {
  readonly #listeners = new Map<keyof All, Set<Listener<never>>>();

  /** Listens until the function that it gives is called. */
  on<Name extends keyof All>(name: Name, listener: Listener<All[Name]>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => {
      listeners.delete(listener);
    };
  }

  /** Whether anybody does: what nobody hears need not be made. */
  hears(name: keyof All): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  emit<Name extends keyof All>(name: Name, event: All[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as Listener<All[Name]>)(event);
      } catch (error) {
        // What an error's listener throws has nobody left to hear it.
        if (name !== "error") this.emit("error", error as All["error"]);
      }
    }
  }
}
