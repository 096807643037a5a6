/**
 * The Rust side: the pinned toolchain with its WebAssembly target, and the two command-line tools of the build, kept in
 * `.tools/` so that no other project on the machine is touched.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { withLock } from "../../scripts/lock.mjs";
import { output, ROOT, step } from "./run.mjs";

const TOOLS = join(ROOT, ".tools");

/** The versions belong together: the tool must be the release of the library in Cargo.toml. */
const CRATES = [
  // The default features only add a downloader; it would want more system libraries.
  {
    crate: "wasm-bindgen-cli",
    program: "wasm-bindgen",
    version: "0.2.130",
    flags: ["--no-default-features"],
  },
  { crate: "worker-build", program: "worker-build", version: "0.8.7", flags: [] },
];

export async function installTools() {
  if (hasTarget() && absentCrates().length === 0) return;
  await withLock("install", "another start installs the tools", async () => {
    if (!hasTarget()) await installToolchain();
    for (const crate of absentCrates()) await installCrate(crate);
    rmSync(join(TOOLS, "target"), { recursive: true, force: true });
  });
}

function toolchain() {
  const text = readFileSync(join(ROOT, "rust-toolchain.toml"), "utf8");
  return /channel\s*=\s*"([^"]+)"/.exec(text)?.[1] ?? "stable";
}

function hasTarget() {
  const installed = output("rustup", ["target", "list", "--toolchain", toolchain(), "--installed"]);
  return installed?.includes("wasm32-unknown-unknown") ?? false;
}

/** Also adds what is missing to a toolchain that is there. */
async function installToolchain() {
  const parts = ["--profile", "minimal", "-c", "clippy", "-c", "rustfmt", "-t", "wasm32-unknown-unknown"];
  const args = ["toolchain", "install", toolchain(), ...parts];
  await step(`installing Rust ${toolchain()} for WebAssembly`, "rustup", args);
}

function absentCrates() {
  return CRATES.filter(({ program, version }) => {
    const said = output(join(TOOLS, "bin", program), ["--version"]);
    return said?.split(/\s+/).includes(version) !== true;
  });
}

/** Two to three minutes each; an interrupted one goes on where it stopped. */
async function installCrate({ crate, version, flags }) {
  const args = ["install", crate, "--version", version, "--root", TOOLS, "--force", ...flags];
  const what = `building ${crate} ${version} (once, a few minutes)`;
  await step(what, "cargo", args, { CARGO_TARGET_DIR: join(TOOLS, "target") });
}
