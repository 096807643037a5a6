/**
 * The tools that only Python has, at pinned versions in a virtual environment of this checkout: `.tools/python`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./paths.ts";

const HOME = join(ROOT, ".tools", "python");
const PACKAGES = ["schemathesis==4.32.5", "prometheus_client==0.26.0"];
/** What is installed there; another list is another installation. */
const INSTALLED = join(HOME, "drey-packages.txt");

/** A program of the environment. */
export function pythonProgram(name: string): string {
  return join(HOME, "bin", name);
}

/** Installs what is missing. */
export function installPython(progress: (step: string) => void): void {
  const wanted = PACKAGES.join(" ");
  if (existsSync(INSTALLED) && readFileSync(INSTALLED, "utf8") === wanted) return;
  progress(`installing ${wanted}`);
  for (const [command, ...args] of [
    ["python3", "-m", "venv", HOME],
    [pythonProgram("python"), "-m", "pip", "install", "--quiet", ...PACKAGES],
  ] as const) {
    const ran = spawnSync(command, args, { stdio: "inherit" });
    if (ran.status !== 0) {
      throw new Error(
        `${command} failed: these tools need Python 3.10 with venv (apt-get install python3-venv)`,
      );
    }
  }
  writeFileSync(INSTALLED, wanted);
}
