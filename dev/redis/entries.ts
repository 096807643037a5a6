/** Everything that a Redis holds, for tests that look for what may not be there: past faults and counters. */
import type { Engine, Reply } from "./reply.ts";

const READS: Record<string, string> = { string: "GET", hash: "HGETALL", set: "SMEMBERS" };

/** Keys and values as text. What ends meanwhile is left out. */
export async function entries(engine: Engine): Promise<[key: string, value: string][]> {
  const ask = (...command: string[]) => engine.execute(command.map((part) => Buffer.from(part)));
  const found: [string, string][] = [];
  for (const key of ((await ask("KEYS", "*")) as Buffer[]).map(String)) {
    const read = READS[String(await ask("TYPE", key))];
    if (read) found.push([key, textOf(await ask(read, key))]);
  }
  return found;
}

function textOf(reply: Reply): string {
  return Array.isArray(reply) ? reply.map(textOf).join(" ") : String(reply);
}
