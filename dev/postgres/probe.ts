/**
 * Looking at a server from outside: does it answer, and is a process id really ours.
 */
import { readFileSync } from "node:fs";
import pg from "pg";
import { delay } from "../faults.ts";

/** One attempt; waits a moment before it says no, so that callers may simply ask again. */
export async function canConnect(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    await delay(20);
    return false;
  }
}

/** Process ids are used again: only a process that was started on this data folder counts. */
export function isOurs(pid: number, data: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(data);
  } catch {
    return false;
  }
}
