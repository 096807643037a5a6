/**
 * `npm run demo`: drives the running stack as users would, on real input, and says what it saw. Without a running stack
 * it starts one and stops it again. Exits non-zero if anything differs from what it should be.
 */
import { bytesOf } from "./demo/documents.ts";
import { readOperations } from "./demo/operations.ts";
import { count, newReport } from "./demo/report.ts";
import { findOrStart } from "./demo/stack.ts";
import { tell } from "./demo/story.ts";

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stopping.abort(signal));

process.exitCode = await run();
process.exit();

async function run(): Promise<number> {
  try {
    const stack = await findOrStart((step) => console.log(`drey: ${step}`), stopping.signal);
    const interrupted = new Promise<never>((_, reject) => {
      stopping.signal.addEventListener("abort", () => reject(new Error("interrupted")), { once: true });
    });
    try {
      await Promise.race([show(stack.addresses, stack.own), interrupted]);
    } finally {
      if (stack.own) console.log("drey: stopping");
      await stack.stop();
    }
    return 0;
  } catch (error) {
    console.error(`drey: the demo failed: ${(error as Error).message}`);
    return 1;
  }
}

async function show(addresses: Parameters<typeof tell>[0], own: boolean): Promise<void> {
  const collection = readOperations();
  const { documents, operations } = collection;
  console.log(`\ndrey demo against ${addresses.api}${own ? ", started for it" : ""}`);
  console.log(
    `  ${count(operations.length)} operations, ${count(bytesOf(operations))} bytes, of ${documents} documents\n`,
  );
  const report = newReport(console.log);
  const since = performance.now();
  await tell(addresses, collection, report);
  const seconds = ((performance.now() - since) / 1000).toFixed(1);
  console.log(`\n  ${report.steps} steps, nothing differs, ${seconds} s\n`);
}
