/**
 * `npm run lint`: every check of form, Rust and TypeScript, to the end: one fault does not hide another.
 */
import { run } from "./command.ts";
import { program } from "./paths.ts";

const WASM = ["--target", "wasm32-unknown-unknown"];
const STRICT = ["--all-targets", "--", "-D", "warnings"];

const CHECKS: [name: string, command: string, args: string[], env?: Record<string, string>][] = [
  ["Rust's form", "cargo", ["fmt", "--all", "--check"]],
  ["clippy on the host", "cargo", ["clippy", "--locked", "--workspace", ...STRICT]],
  ["clippy on WebAssembly", "cargo", ["clippy", "--locked", "--workspace", ...WASM, ...STRICT]],
  [
    "Rust's documentation",
    "cargo",
    ["doc", "--locked", "--workspace", "--no-deps"],
    { RUSTDOCFLAGS: "-D warnings" },
  ],
  ["the crates of the card", process.execPath, ["scripts/check-card.mjs"]],
  ["the bindings", process.execPath, ["scripts/check-bindings.mjs"]],
  ["the licences", process.execPath, ["scripts/check-licences.mjs"]],
  ["TypeScript's form", program("biome"), ["check"]],
  ["TypeScript's types", program("tsc"), ["--noEmit"]],
  ["the client's types", program("tsc"), ["--noEmit", "--project", "clients/typescript"]],
  ["the example's types", program("tsc"), ["--noEmit", "--project", "examples/presence"]],
  ["what the client is generated from", process.execPath, ["dev/client-types.ts", "--check"]],
];

const failed: string[] = [];
for (const [name, command, args, env] of CHECKS) {
  console.log(`drey: checking ${name}`);
  if ((await run(command, args, env)) !== 0) failed.push(name);
}
console.log(failed.length === 0 ? "drey: nothing to mend" : `drey: to mend: ${failed.join(", ")}`);
process.exitCode = failed.length === 0 ? 0 : 1;
