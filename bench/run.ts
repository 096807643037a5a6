/**
 * `npm run bench [name…]`: drey beside what a user would pick instead, on this machine, in this run. See README.md.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { run as runProgram } from "../dev/command.ts";
import { ROOT } from "../dev/paths.ts";
import { type Arguments, readArguments } from "./arguments.ts";
import { Loader } from "./load.ts";
import { measure, type Result } from "./measure.ts";
import { load } from "./proc.ts";
import { table } from "./report.ts";
import { workloadNamed } from "./workloads.ts";
import { startWorld, type World } from "./world.ts";

const RESULTS = join(import.meta.dirname, "results.json");

const asked = readArguments();
if (asked.build && (await runProgram(process.execPath, ["scripts/build-worker.mjs"])) !== 0) process.exit(1);
const world = await startWorld(asked.drey, (step) => console.log(`drey: ${step}`));
const loader = new Loader();
const stop = async () => {
  await loader.stop();
  await world.stop();
};
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void stop().then(() => process.exit(130)));
try {
  await bench(world, asked);
} finally {
  await stop();
}

async function bench(world: World, { names, budget }: Arguments): Promise<void> {
  console.log(
    `drey: Redis is ${world.redis ? "a real redis-server" : "the one in this process: limits of it mean little"}`,
  );
  console.log(
    `drey: ${cpus().length} processors, load average ${load().toFixed(1)}: figures are worth something only on a quiet machine`,
  );
  const results: Result[] = [];
  for (const name of names) {
    const progress = (step: string) =>
      process.stderr.isTTY && process.stderr.write(`\r\x1b[Kdrey: ${name}: ${step}`);
    const result = await measure(world, loader, await workloadNamed(name), budget, progress).catch(failed);
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
    if (!result) continue;
    console.log(table(result));
    results.push(result);
    writeFileSync(RESULTS, `${JSON.stringify({ machine: machine(), budget, results }, null, 2)}\n`);
  }
}

/** One workload that breaks off does not hide the others. */
function failed(error: Error): undefined {
  console.error(`\ndrey: ${error.message}${error.cause ? `\n${(error.cause as Error).message}` : ""}`);
  process.exitCode = 1;
}

function machine(): Record<string, unknown> {
  const { version } = JSON.parse(readFileSync(join(ROOT, "node_modules", "workerd", "package.json"), "utf8"));
  return {
    at: new Date().toISOString(),
    processors: cpus().map(({ model }) => model),
    workerd: version,
    node: process.version,
  };
}
