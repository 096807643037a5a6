/**
 * `npm test`: every test of the project, one runner after the other, and one line at the end that sums them up.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "./command.ts";
import { ROOT, STATE } from "./paths.ts";

interface Count {
  passed: number;
  failed: number;
}

interface Runner {
  name: string;
  run(): Promise<Count>;
}

const RUNNERS: Runner[] = [
  {
    name: "the laws and units, native",
    run: () => cargo(["test", "--locked", "--no-fail-fast", "--workspace"]),
  },
  { name: "what only exists in WebAssembly", run: wasm },
  { name: "SQL, stand-ins, clients and the Worker at the edge", run: edge },
];

let sum: Count = { passed: 0, failed: 0 };
for (const runner of RUNNERS) {
  console.log(`\ndrey: testing ${runner.name}`);
  sum = add(sum, await runner.run());
}
console.log(`\n${sum.passed} passed, ${sum.failed} failed`);
process.exitCode = sum.failed === 0 ? 0 : 1;

function add(one: Count, other: Count): Count {
  return { passed: one.passed + other.passed, failed: one.failed + other.failed };
}

/** cargo and wasm-bindgen's runner end each binary with `test result: ok. 3 passed; 0 failed; …`. */
async function cargo(args: string[], env: Record<string, string> = {}): Promise<Count> {
  let count: Count = { passed: 0, failed: 0 };
  const code = await run("cargo", args, { CARGO_TERM_COLOR: "always", ...env }, (line) => {
    const found = /test result: .*?(\d+) passed; (\d+) failed/.exec(line);
    if (found) count = add(count, { passed: Number(found[1]), failed: Number(found[2]) });
  });
  return honest(count, code);
}

function wasm(): Promise<Count> {
  return cargo(["test", "--locked", "-p", "drey", "--test", "wasm", "--target", "wasm32-unknown-unknown"], {
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER: join(ROOT, ".tools", "bin", "wasm-bindgen-test-runner"),
  });
}

async function edge(): Promise<Count> {
  const built = await run(process.execPath, ["scripts/build-worker.mjs"]);
  if (built !== 0) return { passed: 0, failed: 1 };
  const report = join(STATE, "vitest.json");
  mkdirSync(STATE, { recursive: true });
  rmSync(report, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const code = await run(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...reporters]);
  return honest(countOf(report), code);
}

function countOf(report: string): Count {
  try {
    const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, "utf8"));
    return { passed: numPassedTests, failed: numFailedTests };
  } catch {
    return { passed: 0, failed: 0 };
  }
}

/** A runner that failed without a failed test (it did not compile, say) counts as one failure. */
function honest(count: Count, code: number): Count {
  return code !== 0 && count.failed === 0 ? { ...count, failed: 1 } : count;
}
