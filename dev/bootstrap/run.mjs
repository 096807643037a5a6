/**
 * Running other programs from the bootstrap.
 */
import { spawn, spawnSync } from "node:child_process";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What `command` prints, or undefined when it is missing or fails. */
export function output(command, args, options = {}) {
  const ran = spawnSync(command, args, { cwd: ROOT, encoding: "utf8", ...options });
  return ran.status === 0 ? ran.stdout.trim() : undefined;
}

/** Runs a step that may take minutes, its output in view; throws when it fails. */
export async function step(what, command, args, env = {}) {
  console.log(`drey: ${what}: ${command} ${args.join(" ")}`);
  const started = Date.now();
  const code = await runToTheEnd(command, args, env);
  if (code !== 0) throw new Error(`${what} failed: ${command} ${args.join(" ")} ended with ${code}`);
  console.log(`drey: ${what}: done in ${Math.round((Date.now() - started) / 1000)} s`);
}

/**
 * Runs a program in this terminal and returns its exit code. Signals go on to it and it decides when to end, so that
 * nothing it started is left behind.
 */
export function runToTheEnd(command, args, env = {}) {
  // Programs find the pinned Node before the machine's, also where npm made no link to it.
  const modules = join(ROOT, "node_modules");
  const path = [join(modules, "node", "bin"), join(modules, ".bin"), process.env.PATH].join(delimiter);
  const child = spawn(command, args, {
    cwd: ROOT,
    stdio: "inherit",
    env: { ...process.env, PATH: path, ...env },
  });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  const handlers = signals.map((signal) => [signal, () => child.kill(signal)]);
  for (const [signal, handler] of handlers) process.on(signal, handler);
  const watch = watchParent(() => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      for (const [name, handler] of handlers) process.off(name, handler);
      clearInterval(watch);
      resolve(code ?? (signal === "SIGINT" ? 130 : 143));
    });
  });
}

/** npm does not pass on every signal that ends it: whoever lost the npm that started it ends too. */
function watchParent(onLost) {
  const parent = process.ppid;
  return setInterval(() => process.ppid === parent || onLost(), 500);
}
