/**
 * `npm run lint`: form and types of the TypeScript side. The Rust side is `cargo fmt` and `cargo clippy`, see `.ci/run`.
 */
import { run } from "./command.ts";
import { program } from "./paths.ts";

const codes = [await run(program("biome"), ["check"]), await run(program("tsc"), ["--noEmit"])];
process.exitCode = codes.every((code) => code === 0) ? 0 : 1;
