/** The statements of the store, as `store/examples/statements.rs` prints them. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export interface Statement {
  name: string;
  sql: string;
  hot: boolean;
}

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Builds the store for this machine if need be, which takes a minute the first time. */
export async function statements(): Promise<Statement[]> {
  const cargo = ["run", "--quiet", "--locked", "--package", "drey-store", "--example", "statements"];
  const { stdout } = await promisify(execFile)("cargo", cargo, { cwd: root, maxBuffer: 1 << 24 });
  return JSON.parse(stdout) as Statement[];
}
