/**
 * The crates drey says it uses are in real use and have their reason in ARCHITECTURE.md. A dependency that is only
 * listed would be a claim without code behind it. Run by `npm run lint`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Crate and where its use must be found. */
const CARD = {
  worker: ["src", "store", "durable-objects"],
  serde: ["src", "core"],
  serde_json: ["src", "core"],
  "wasm-bindgen": ["src"],
  getrandom: ["src"],
  "js-sys": ["src"],
  futures: ["src", "durable-objects"],
  uuid: ["core"],
  "tracing-wasm": ["src"],
  reqwest: ["src"],
  chrono: ["core", "durable-objects"],
  "wasm-bindgen-test": ["tests/wasm"],
};

const problems = Object.entries(CARD).flatMap(([crate, rooms]) => faults(crate, rooms));
for (const problem of problems) console.error(`drey: ${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;

function faults(crate, rooms) {
  const identifier = crate.replaceAll("-", "_");
  const use = new RegExp(`\\b${identifier}(::|!)`);
  const unused = rooms.filter((room) => !sources(join(ROOT, room)).some((text) => use.test(text)));
  const reasoned = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8").includes(`\`${crate}\``);
  return [
    ...unused.map((room) => `the crate ${crate} is not used in ${room}`),
    ...(reasoned ? [] : [`the crate ${crate} has no reason in ARCHITECTURE.md`]),
  ];
}

/** The Rust files below a folder, without their comments. */
function sources(folder) {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".rs"))
    .map((name) => readFileSync(join(folder, name), "utf8").replaceAll(/^\s*\/\/.*$/gm, ""));
}
