/**
 * The script that charges buckets in Redis, against the table that `tests/laws/redis.rs` holds to a gate's arithmetic:
 * what Redis answers is what a gate would have said.
 */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { realEngine } from "../../dev/redis/engine.ts";
import { MemoryEngine } from "../../dev/redis/memory.ts";
import type { Engine, Reply } from "../../dev/redis/reply.ts";
import tables from "./charges.json" with { type: "json" };

const SCRIPT = readFileSync(new URL("../../core/src/limit/gcra.lua", import.meta.url));
const real = await realEngine();
const engines: Engine[] = [new MemoryEngine(), ...(real ? [real] : [])];

describe.each(engines)("$name", (engine) => {
  afterAll(() => engine.close());

  test.each([...tables.entries()])("the script charges as a gate does: table %i", async (_, table) => {
    const run = crypto.randomUUID();
    const keys = table.buckets.map(({ name }) => `{${run}}:${name}`);
    const since = Date.now();
    for (const [index, { after_ms, cost, wanted, held, reply }] of table.charges.entries()) {
      for (const key of keys) await age(key, after_ms);
      const answer = (await send(
        "EVAL",
        SCRIPT,
        keys.length,
        ...keys,
        cost,
        wanted,
        held,
        ...numbers(table),
      )) as number[];
      const [paid, extra, ...states] = reply;
      expect(answer.slice(0, 2), `charge ${index}`).toEqual([paid, extra]);
      // The buckets fill by what the test itself takes; a clock of milliseconds may be one of them off.
      const taken = Date.now() - since + 2;
      states.forEach((state, at) => {
        const least = at % 3 === 2 ? state : Math.max(state - taken * (at % 3 === 0 ? 1_000 : 1), 0);
        const told = answer[at + 2] ?? Number.NaN;
        expect([told >= least, told <= state], `charge ${index}: ${told} of ${state}`).toEqual([true, true]);
      });
    }
  });

  /** Lets time pass for a bucket: everything in it is that much longer ago. */
  async function age(key: string, ms: number): Promise<void> {
    const stored = await send("GET", key);
    if (stored === null) return;
    const [fullAtUs = 0, blockUntilMs = 0, seenMs = 0] = String(stored).split(" ").map(Number);
    const aged = [fullAtUs - ms * 1_000, Math.max(blockUntilMs - ms, 0), seenMs - ms];
    await send("SET", key, aged.join(" "), "KEEPTTL");
  }

  function send(...command: (string | number | Buffer)[]): Promise<Reply> {
    return engine.execute(command.map((part) => (Buffer.isBuffer(part) ? part : Buffer.from(String(part)))));
  }
});

/** Of each bucket the microseconds of a token and of all of them, the burst, the block, and whether it is in shadow. */
function numbers(table: (typeof tables)[number]): number[] {
  return table.buckets.flatMap(({ spec: { limit, window_ms, burst, block_ms }, ...bucket }) => {
    const intervalUs = Math.ceil((window_ms * 1_000) / limit);
    return [intervalUs, intervalUs * burst, burst, block_ms, "is_shadow" in bucket ? 1 : 0];
  });
}
