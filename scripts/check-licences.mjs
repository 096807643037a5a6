/**
 * Every crate that goes into the Worker has a licence that an Apache-2.0 project may ship. `deny.toml` says the same to
 * cargo-deny; this needs nothing but cargo. Run by `npm run lint`.
 */
import { spawnSync } from "node:child_process";

const ALLOWED = new Set([
  "0BSD",
  "Apache-2.0",
  "Apache-2.0 WITH LLVM-exception",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "CC0-1.0",
  "ISC",
  "MIT",
  "Unicode-3.0",
  "Unlicense",
  "Zlib",
]);

const options = [
  "metadata",
  "--locked",
  "--format-version",
  "1",
  "--filter-platform",
  "wasm32-unknown-unknown",
];
const ran = spawnSync("cargo", options, { encoding: "utf8", maxBuffer: 1 << 28 });
if (ran.status !== 0) throw new Error(ran.stderr);
const { packages, resolve } = JSON.parse(ran.stdout);
const shipped = new Set(resolve.nodes.map((node) => node.id));
const refused = packages.filter((crate) => shipped.has(crate.id) && !allowed(crate.license ?? ""));
for (const crate of refused)
  console.error(`drey: ${crate.name} ${crate.version} is licensed ${crate.license}`);
process.exitCode = refused.length === 0 ? 0 : 1;

/** An SPDX expression: each part that AND joins needs one allowed choice among those that OR (or an old slash) parts. */
function allowed(expression) {
  const parts = expression.replaceAll(/[()]/g, "").split(" AND ");
  return parts.every((part) => part.split(/ OR |\//).some((choice) => ALLOWED.has(choice.trim())));
}
