/**
 * Ports of the loopback interface: a free one, and who holds a taken one.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";

/** Nothing of the local stack is ever reachable from another machine. */
export const LOOPBACK = "127.0.0.1";

/** What this process was given: one that is not bound yet is free to look at, and somebody's all the same. */
const given = new Set<number>();

/** A port nobody listens on at this moment, another each time. The caller must bind it soon and cope if it was taken meanwhile. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, LOOPBACK, resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  if (given.has(port)) return freePort();
  given.add(port);
  return port;
}

/** Throws `portBusy` unless `port` can be bound on loopback. */
export async function requireFreePort(port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", () => reject(portBusy(port)));
    server.listen(port, LOOPBACK, resolve);
  });
  await new Promise((resolve) => server.close(resolve));
}

/** Says who listens on `port`, as far as this user may know, and what to do about it. */
export function portBusy(port: number): Error {
  const owner = listenerOf(port);
  const who = owner ? `process ${owner.pid} (${owner.command})` : "another process, perhaps of another user";
  return new Error(
    `port ${port} is taken by ${who}: stop it, or choose another port with PORT=<number> (PORT=0 picks a free one)`,
  );
}

interface Owner {
  pid: number;
  command: string;
}

/** Linux only: elsewhere nobody is named, and the message stays useful without it. */
function listenerOf(port: number): Owner | undefined {
  const inodes = new Set(
    ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) => listeningInodes(table, port)),
  );
  if (inodes.size === 0) return undefined;
  for (const pid of entries("/proc").filter((name) => /^\d+$/.test(name))) {
    if (entries(`/proc/${pid}/fd`).some((fd) => inodes.has(socketInode(`/proc/${pid}/fd/${fd}`)))) {
      return { pid: Number(pid), command: commandOf(pid) };
    }
  }
  return undefined;
}

/** Rows of /proc/net/tcp: `sl local_address rem_address st … inode`; state 0A is LISTEN, addresses are hexadecimal. */
function listeningInodes(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return attempt(() => readFileSync(table, "utf8"), "")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((row) => row[1]?.endsWith(suffix) && row[3] === "0A")
    .map((row) => row[9] ?? "");
}

function socketInode(link: string): string {
  return attempt(() => readlinkSync(link), "").match(/^socket:\[(\d+)\]$/)?.[1] ?? "none";
}

function commandOf(pid: string): string {
  return attempt(() => readFileSync(`/proc/${pid}/cmdline`, "utf8"), "")
    .split("\0")
    .join(" ")
    .trim()
    .slice(0, 120);
}

function entries(directory: string): string[] {
  return attempt(() => readdirSync(directory), []);
}

/** Processes end and belong to others while we look: what cannot be read is skipped. */
function attempt<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
