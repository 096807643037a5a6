/**
 * `npm run dev`: the local stack in this terminal until Ctrl-C. Nothing it started outlives it.
 *
 * Environment: PORT (8787; 0 picks a free one), DATABASE_URL and REDIS_URL (servers of your own), and the Worker's
 * variables listed in `PASSED_ON`.
 */
import { ready } from "./dev/ready.ts";
import { startStack } from "./stack.ts";

/** Variables of the Worker that the terminal may set. */
const PASSED_ON = [
  "LIMIT_SCALE",
  "LIMITS",
  "LOG_FORMAT",
  "CORS_ORIGINS",
  "REQUEST_DEADLINE_MS",
  "GATE_REFRESH_MS",
  "PRESENCE_TTL_MS",
  "SELF_HOSTED",
];

/** Where `npm run example` serves its page. */
const EXAMPLES = "http://127.0.0.1:5173";

/** The order to stop: Ctrl-C, a signal, or the disappearance of the npm that started us. */
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stopping.abort(signal));
const parent = process.ppid;
setInterval(() => process.ppid === parent || stopping.abort("parent"), 500).unref();

const started = Date.now();
const progress = (step: string) => console.log(`drey: ${step}`);

process.exitCode = await run();
process.exit();

async function run(): Promise<number> {
  try {
    const stack = await startStack({ port: port(), vars: vars(), progress, cancelled: stopping.signal });
    const stopped = new Promise<number>((resolve) => {
      if (stopping.signal.aborted) resolve(0);
      stopping.signal.addEventListener("abort", () => resolve(0), { once: true });
    });
    if (!stopping.signal.aborted) console.log(ready(stack, Date.now() - started));
    const code = await Promise.race([stopped, stack.ended]);
    progress("stopping");
    await stack.stop();
    return code;
  } catch (error) {
    if (stopping.signal.aborted) return 0;
    console.error(`drey: ${(error as Error).message}`);
    return 1;
  }
}

function port(): number {
  const text = process.env.PORT ?? "8787";
  const number = Number(text);
  if (text === "" || !Number.isInteger(number) || number < 0 || number > 65535) {
    throw new Error(`PORT is "${text}", not a port number (0 picks a free one)`);
  }
  return number;
}

function vars(): Record<string, string> {
  const set = PASSED_ON.flatMap((name) =>
    process.env[name] === undefined ? [] : [[name, process.env[name]]],
  );
  return { LOG_FORMAT: "console", CORS_ORIGINS: EXAMPLES, ...Object.fromEntries(set) };
}
