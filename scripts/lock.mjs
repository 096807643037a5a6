/**
 * One at a time, across processes: two builds or two installs in one checkout would break each other.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = join(dirname(dirname(fileURLToPath(import.meta.url))), ".drey", "locks");

/** Waits for whoever holds the lock `name`, saying so once; a holder that died is forgotten. */
export async function withLock(name, waitingFor, work) {
  let release = takeLock(name);
  if (!release) console.log(`drey: waiting: ${waitingFor} (process ${holderOf(name)})`);
  while (!release) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    release = takeLock(name);
  }
  try {
    return await work();
  } finally {
    release();
  }
}

/** Takes the lock and returns what gives it back, or undefined when a living process holds it. */
export function takeLock(name) {
  const path = join(FOLDER, name);
  mkdirSync(FOLDER, { recursive: true });
  const holder = readText(path);
  if (holder !== undefined && holder !== "" && !isAlive(holder)) rmSync(path, { force: true });
  try {
    // Creating the file fails when it exists: that is the lock.
    writeFileSync(path, identityOf(process.pid), { flag: "wx" });
  } catch {
    return undefined;
  }
  const release = () => rmSync(path, { force: true });
  process.once("exit", release);
  return () => {
    process.off("exit", release);
    release();
  };
}

/** The process id that holds `name`. */
export function holderOf(name) {
  return readText(join(FOLDER, name))?.split(" ")[0];
}

/** Process ids are used again, above all after a restart of a container: the start time tells two of them apart. */
export function identityOf(pid) {
  const stat = readText(`/proc/${pid}/stat`);
  // The program's name stands in parentheses and may hold spaces; the start time is the 20th field after it.
  const started = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  return `${pid} ${started ?? "?"}`;
}

export function isAlive(identity) {
  const pid = Number(identity.split(" ")[0]);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== "EPERM") return false;
  }
  return identityOf(pid) === identity;
}

function readText(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
