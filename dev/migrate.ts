/**
 * Brings a database to the newest migration with dbmate. Run once at a time: dbmate takes no lock of its own.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { MIGRATIONS, program, ROOT } from "./paths.ts";

/** Throws with dbmate's own words when a migration fails. `url` is a superuser's or the owner's. */
export async function migrate(url: string): Promise<void> {
  // dbmate creates a missing database itself. No schema dump: that needs pg_dump, which the embedded server lacks.
  const args = ["--url", withSslMode(url), "--migrations-dir", MIGRATIONS, "--no-dump-schema", "up"];
  try {
    await promisify(execFile)(program("dbmate"), args, { cwd: ROOT });
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`the migrations failed:\n${stdout}${stderr}`);
  }
}

/** A server on this machine has no TLS, and dbmate's driver asks for it unless told otherwise. */
function withSslMode(url: string): string {
  const parsed = new URL(url);
  const local = ["127.0.0.1", "localhost", "[::1]"].includes(parsed.hostname);
  if (local && !parsed.searchParams.has("sslmode")) parsed.searchParams.set("sslmode", "disable");
  return parsed.href;
}
