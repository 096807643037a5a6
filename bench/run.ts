/**
 * `npm run bench [name…]`: drey beside what a user would pick instead, on this machine, in this run. See README.md.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { run as runProgram } from "../dev/command.ts";
import { ROOT } from "../dev/paths.ts";
import { type Arguments, readArguments } from "./arguments.ts";
import { accept, judged, regressions, statedNoise, strayed } from "./check.ts";
import { Loader } from "./load.ts";
import { measure, profileAll, type Result } from "./measure.ts";
import { plot } from "./plot.ts";
import { load } from "./proc.ts";
import { summary, table } from "./report.ts";
import { measureRoom, profileRoom } from "./rooms.ts";
import { stopOnSignals } from "./signals.ts";
import type { Side } from "./workload.ts";
import { anyNamed } from "./workloads.ts";
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
stopOnSignals(stop);
try {
  if (asked.profile) await profile(world, asked);
  else judge(await bench(world, asked), asked);
} finally {
  await stop();
}

async function profile(world: World, { names, budget }: Arguments): Promise<void> {
  process.env.BENCH_PROFILE = "true";
  for (const name of names) {
    const found = await anyNamed(name);
    const isRoom = "size" in found;
    console.log(
      await (isRoom ? profileRoom(world, found, budget) : profileAll(world, loader, found, budget)),
    );
  }
}

async function bench(world: World, { names, budget, short, beside }: Arguments): Promise<Result[]> {
  console.log(
    world.redis
      ? "drey: Redis is real"
      : "drey: no redis-server on PATH: the peers that need one are left out",
  );
  console.log(
    `drey: ${cpus().length} processors, load average ${load().toFixed(1)}: figures are worth something only on a quiet machine`,
  );
  const results: Result[] = [];
  for (const name of names) {
    const progress = (step: string) =>
      process.stderr.isTTY && process.stderr.write(`\r\x1b[Kdrey: ${name}: ${step}`);
    const result = await measured(world, name, { budget, short, beside }, progress).catch(failed);
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
    if (!result) continue;
    console.log(table(result));
    results.push(result);
    writeFileSync(RESULTS, `${JSON.stringify({ machine: machine(), budget, results }, null, 2)}\n`);
  }
  return results;
}

async function measured(
  world: World,
  name: string,
  { budget, short, beside }: Pick<Arguments, "budget" | "short" | "beside">,
  progress: (step: string) => void,
): Promise<Result> {
  const found = await anyNamed(name);
  if ("size" in found) {
    const sides = beside ? twoBuilds(found.sides, beside) : found.sides;
    return measureRoom(world, { ...found, sides }, budget, progress);
  }
  const all = beside ? twoBuilds(found.sides, beside) : found.sides;
  return measure(world, loader, { ...found, sides: short ? all.slice(0, 2) : all }, budget, progress);
}

/** drey, and drey as it was built in another folder. */
function twoBuilds<One extends Side>([own]: One[], folder: string): One[] {
  if (!own) return [];
  return [own, { ...own, name: "drey-beside", start: (world) => own.start({ ...world, drey: folder }) }];
}

function judge(results: Result[], { check, short, accept: accepting, plot: plotting }: Arguments): void {
  console.log(
    `\ndrey: within this run ratios strayed by up to ${(100 * strayed(results)).toFixed(0)} % from their medians`,
  );
  console.log(summary(results));
  if (plotting) console.log(`drey: wrote ${plot(results).join(" and ")}`);
  if (accepting) accept(results);
  if (!check) return;
  console.log(`drey: stated noise: ${statedNoise(short)}`);
  const worse = regressions(results, short);
  for (const sentence of worse) console.error(`drey: worse than expected: ${sentence}`);
  const count = judged(results);
  if (count === 0) console.error("drey: expected.json has nothing to hold these ratios to");
  if (worse.length > 0 || count === 0) process.exitCode = 1;
  else console.log(`drey: of ${count} ratios none is worse than expected`);
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
