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

  test("under another pace what was taken stays taken, and a block ends", async () => {
    const key = `{${crypto.randomUUID()}}:bucket`;
    const HOUR_US = 3_600_000_000;
    /** Paid, beyond, microseconds until it is full, milliseconds of block; of a bucket that fills in an hour. */
    const charge = async (cost: number, burst: number, block = 0) =>
      (await send("EVAL", SCRIPT, 1, key, cost, 0, 0, HOUR_US / burst, HOUR_US, burst, block, 0)) as number[];
    const left = (answer: number[], burst: number) =>
      Math.round(burst - (answer[2] ?? 0) / (HOUR_US / burst));
    expect(left(await charge(400, 1_000), 1_000)).toBe(600);
    // 400 of 1,000 were taken; of 2,000 that leaves 1,600.
    expect(left(await charge(0, 2_000), 2_000)).toBe(1_600);
    expect(left(await charge(100, 2_000), 2_000)).toBe(1_500);
    // Of ten more than all is taken: none is left, and the first is back after a tenth of the hour.
    const refused = await charge(1, 10, 9_000);
    expect([refused[0], left(refused, 10), refused[3]]).toEqual([0, 0, 9_000]);
    expect(refused[2]).toBeLessThanOrEqual(HOUR_US);
    const other = await charge(1, 100);
    expect([other[0], left(other, 100), other[3]]).toEqual([1, 89, 0]);
  });

  test("under another burst or block alone no more is missing than there is, and a block ends too", async () => {
    const key = `{${crypto.randomUUID()}}:bucket`;
    const TOKEN_US = 360_000_000;
    const charge = async (burst: number, block: number) =>
      (await send("EVAL", SCRIPT, 1, key, 1, 0, 0, TOKEN_US, TOKEN_US * burst, burst, block, 0)) as number[];
    const blocked = async (burst: number, block: number) => (await charge(burst, block))[3];
    for (let call = 0; call < 4; call += 1) expect((await charge(4, 9_000))[0]).toBe(1);
    expect(await blocked(4, 9_000)).toBe(9_000);
    const [paid, , missing, block] = await charge(5, 9_000);
    expect([paid, Math.round((missing ?? 0) / TOKEN_US), block]).toEqual([1, 5, 0]);
    expect([await blocked(5, 9_000), await blocked(5, 0)]).toEqual([9_000, 0]);
    expect(Math.round(((await charge(2, 0))[2] ?? 0) / TOKEN_US)).toBe(2);
  });

  test("a bucket that an earlier script stored is read as it is", async () => {
    const key = `{${crypto.randomUUID()}}:bucket`;
    const now = Date.now();
    await send("SET", key, `${(now + 60_000) * 1_000} 0 ${now}`);
    const answer = (await send(
      "EVAL",
      SCRIPT,
      1,
      key,
      0,
      0,
      0,
      1_000_000,
      100_000_000,
      100,
      0,
      0,
    )) as number[];
    expect(answer[0]).toBe(1);
    expect(Math.round((answer[2] ?? 0) / 1_000_000)).toBe(60);
  });

  /** Lets time pass for a bucket: everything in it is that much longer ago. */
  async function age(key: string, ms: number): Promise<void> {
    const stored = await send("GET", key);
    if (stored === null) return;
    const [fullAtUs = 0, blockUntilMs = 0, seenMs = 0, ...rest] = String(stored).split(" ").map(Number);
    const aged = [fullAtUs - ms * 1_000, Math.max(blockUntilMs - ms, 0), seenMs - ms, ...rest];
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
