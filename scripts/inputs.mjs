/**
 * A hash over everything that the built Worker depends on: the same hash, the same build.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const INPUTS = [
  "Cargo.toml",
  "Cargo.lock",
  "rust-toolchain.toml",
  ".cargo",
  "wrangler.toml",
  "package-lock.json",
  "src",
  "core",
  "store",
  "durable-objects",
  "promises",
  "migrations",
  "scripts",
];

export function inputsHash(root, profile) {
  const hash = createHash("sha256").update(JSON.stringify([profile, process.env.RUSTFLAGS ?? ""]));
  for (const input of INPUTS) addPath(hash, root, input);
  return hash.digest("hex");
}

function addPath(hash, root, path) {
  const full = join(root, path);
  if (!existsSync(full)) return;
  if (statSync(full).isFile()) {
    hash.update(`${path}\0`).update(readFileSync(full)).update("\0");
    return;
  }
  const names = readdirSync(full).filter((name) => name !== "target" && name !== "tests");
  for (const name of names.sort()) addPath(hash, root, `${path}/${name}`);
}
