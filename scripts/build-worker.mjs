/**
 * Builds the Worker into `build/`: wrangler's `[build]` command, also run by `npm run build`, `dev` and `test`.
 * Does nothing when no input changed. Extra arguments go to worker-build (`--dev` instead of `--release`).
 * worker-build would download tools that it does not find, so they are looked for first and named when missing.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { checkBuild } from "./check-build.mjs";
import { withPlainEntry } from "./entry.mjs";
import { withBoundedFrames } from "./frames.mjs";
import { inputsHash } from "./inputs.mjs";
import { withLock } from "./lock.mjs";
import { withoutNames } from "./wasm.mjs";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const WASM = join(ROOT, "build", "index_bg.wasm");
const SHIM = join(ROOT, "build", "index.js");
const STAMP = join(ROOT, "build", ".inputs");

/** The limit of the project: a cold isolate compiles every byte. The platform takes 3 MB on its free plan. */
const MAX_GZIP_BYTES = 1_000 * 1024;

const BINARIES = {
  WASM_BINDGEN_BIN: join(ROOT, ".tools", "bin", "wasm-bindgen"),
  ESBUILD_BIN: join(ROOT, "node_modules", ".bin", "esbuild"),
};

const given = process.argv.slice(2);
const profile = given.length > 0 ? given : ["--release"];

try {
  await withLock("build", "another build of the Worker runs", build);
} catch (error) {
  console.error(`drey: ${error.message}`);
  process.exitCode = 1;
}

function build() {
  const inputs = inputsHash(ROOT, profile);
  if (upToDate(inputs)) return report("the Worker is up to date");
  rmSync(STAMP, { force: true });
  requireBinaries();
  const started = Date.now();
  console.log(`drey: building the Worker (${profile.join(" ")})`);
  compile(inputs);
  writeFileSync(SHIM, withBoundedFrames(withPlainEntry(readFileSync(SHIM, "utf8"))));
  if (profile.includes("--release")) setNamesAside();
  checkBuild(ROOT);
  report(`built the Worker in ${Math.round((Date.now() - started) / 1000)} s`);
  mkdirSync(dirname(STAMP), { recursive: true });
  writeFileSync(STAMP, inputs);
}

function upToDate(inputs) {
  return existsSync(WASM) && existsSync(STAMP) && readFileSync(STAMP, "utf8") === inputs;
}

function requireBinaries() {
  const workerBuild = join(ROOT, ".tools", "bin", "worker-build");
  const absent = [workerBuild, ...Object.values(BINARIES)].filter((path) => !existsSync(path));
  if (absent.length > 0) throw new Error(`${absent.join(", ")} missing: npm run build installs them`);
}

function compile(inputs) {
  const path = `${join(ROOT, "node_modules", ".bin")}${delimiter}${process.env.PATH}`;
  // Without RUN_TO_COMPLETION a caller that goes away leaks what its request held (workers-rs #653).
  const env = {
    ...process.env,
    ...BINARIES,
    PATH: path,
    RUN_TO_COMPLETION: "1",
    DREY_BUILD: inputs.slice(0, 12),
  };
  const ran = spawnSync(join(ROOT, ".tools", "bin", "worker-build"), profile, {
    cwd: ROOT,
    env,
    stdio: "inherit",
  });
  if (ran.status !== 0)
    throw new Error(`worker-build failed (${ran.error?.message ?? ran.status ?? ran.signal})`);
}

/** Stack traces of a release show numbers; the module with the names stays in `target/` for whoever reads one. */
function setNamesAside() {
  const module = readFileSync(WASM);
  mkdirSync(join(ROOT, "target"), { recursive: true });
  writeFileSync(join(ROOT, "target", "worker-with-names.wasm"), module);
  writeFileSync(WASM, withoutNames(module));
}

/** A development build is larger and never deployed: only the release is held to the limit. */
function report(what) {
  const wasm = readFileSync(WASM);
  const gzip = gzipSync(wasm, { level: 9 }).length;
  console.log(`drey: ${what}: index_bg.wasm is ${kilobytes(wasm.length)} KB, ${kilobytes(gzip)} KB gzipped`);
  if (profile.includes("--release") && gzip > MAX_GZIP_BYTES) {
    throw new Error(`the Worker is larger than ${kilobytes(MAX_GZIP_BYTES)} KB gzipped`);
  }
}

function kilobytes(bytes) {
  return Math.round(bytes / 1024);
}
