/**
 * Whether Prometheus can read `/metrics`: its own parser decides, which refuses what the format does not allow.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { delay } from "../faults.ts";
import { ROOT } from "../paths.ts";
import { pythonProgram } from "../python.ts";

/** Isolates report every five seconds. */
const DEADLINE_MS = 15_000;

/** 0 if the text has been read and holds what it must. */
export async function metrics(addresses: { api: string; operator_token: string }): Promise<number> {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const headers = { authorization: `Bearer ${addresses.operator_token}` };
    const answer = await fetch(`${addresses.api}/metrics`, { headers });
    const input = await answer.text();
    const read = spawnSync(pythonProgram("python"), [join(ROOT, "dev", "fuzz", "metrics.py")], { input });
    if (answer.status === 200 && read.status === 0) {
      console.log(read.stdout.toString().trim());
      return 0;
    }
    if (Date.now() > deadline) {
      console.error(`drey: /metrics answered ${answer.status}: ${read.stderr}`);
      return 1;
    }
    await delay(500);
  }
}
