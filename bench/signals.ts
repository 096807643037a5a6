/**
 * Ends everything on Ctrl-C or SIGTERM. Miniflare brings listeners of its own that end this process at once, with
 * Postgres and Redis left behind: they are taken off again after each start.
 */

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

let listener = () => {};

/** Ctrl-C comes twice, from the terminal and from the program that started this one: the second must not end the first. */
export function stopOnSignals(stop: () => Promise<void>): void {
  let begun = false;
  listener = () => {
    if (!begun) void stop().finally(() => process.exit(130));
    begun = true;
  };
  onlyOurs();
}

/** To be called when somebody may have added listeners. */
export function onlyOurs(): void {
  for (const signal of SIGNALS) {
    process.removeAllListeners(signal);
    process.on(signal, listener);
  }
}
