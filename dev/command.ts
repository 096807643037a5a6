/**
 * Running a program in view, to its end.
 */
import { spawn } from "node:child_process";
import { ROOT } from "./paths.ts";

/** Resolves with the exit code; `onLine` also sees each line of its output. */
export function run(
  command: string,
  args: string[],
  env: Record<string, string> = {},
  onLine: (line: string) => void = () => {},
): Promise<number> {
  const child = spawn(command, args, {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  watch(child.stdout, process.stdout, onLine);
  watch(child.stderr, process.stderr, onLine);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 1));
  });
}

function watch(from: NodeJS.ReadableStream, to: NodeJS.WritableStream, onLine: (line: string) => void): void {
  let rest = "";
  from.on("data", (chunk: Buffer) => {
    to.write(chunk);
    const lines = (rest + chunk.toString("utf8")).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}
