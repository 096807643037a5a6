/**
 * A Chromium for the tests that need a real browser: the one that CHROMIUM_BIN names, else one on PATH, else the system's package
 * where it may be installed.
 */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { run } from "./command.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/** Others may be installing as well. */
const APT = ["-qq", "-o", "DPkg::Lock::Timeout=300"];
const QUIETLY = { DEBIAN_FRONTEND: "noninteractive" };

/** For puppeteer. Throws, with what to install, where there is no Chromium and none to be had. */
export async function chromium(): Promise<{ executablePath: string; args: string[] }> {
  const executablePath = process.env.CHROMIUM_BIN ?? onPath() ?? (await installed());
  if (!executablePath) {
    throw new Error("this needs Chromium: apt-get install chromium, or name one in CHROMIUM_BIN");
  }
  // Chromium has no sandbox for root.
  const asRoot = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return { executablePath, args: [...asRoot, "--disable-dev-shm-usage", "--disable-gpu"] };
}

function onPath(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) =>
    existsSync(path),
  );
}

/** Only root may; whether it went well shows in whether there is one then. */
async function installed(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  console.log("drey: no Chromium on PATH and no CHROMIUM_BIN: installing the system's");
  const packages = ["chromium", "fonts-liberation"];
  for (const command of [["update"], ["install", "-y", "--no-install-recommends", ...packages]]) {
    await run("apt-get", [...APT, ...command], QUIETLY).catch(() => 1);
  }
  return onPath();
}
