/**
 * A Chromium for the tests that need a real browser: the one that CHROMIUM_BIN names, else one on PATH, else the system's package
 * where it may be installed.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/** Others may be installing as well. */
const APT = ["-qq", "-o", "DPkg::Lock::Timeout=300"];

/** The program. Throws, with what to install, where there is none and none to be had. */
export function chromium(progress: (step: string) => void = console.log): string {
  const found = process.env.CHROMIUM_BIN ?? onPath();
  if (found) return found;
  progress("no Chromium on PATH and no CHROMIUM_BIN: installing the system's");
  install();
  const installed = onPath();
  if (installed) return installed;
  throw new Error("this test needs Chromium: apt-get install chromium, or name one in CHROMIUM_BIN");
}

function onPath(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) =>
    existsSync(path),
  );
}

/** Only root may; whether it went well shows in whether there is one then. */
function install(): void {
  if (process.getuid?.() !== 0) return;
  spawnSync("apt-get", [...APT, "update"], { stdio: "ignore" });
  spawnSync("apt-get", [...APT, "install", "-y", "--no-install-recommends", "chromium", "fonts-liberation"], {
    stdio: "ignore",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
}

/** For puppeteer. Chromium has no sandbox for root. */
export function launchOptions(): { executablePath: string; args: string[] } {
  const asRoot = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return { executablePath: chromium(), args: [...asRoot, "--disable-dev-shm-usage", "--disable-gpu"] };
}
