/**
 * The official Upstash client against the stand-in, with whatever Redis stands behind it here.
 */
import { Redis } from "@upstash/redis";
import { expect, test } from "vitest";
import { poll, world } from "../edge/world.ts";

const redis = () => new Redis({ url: world().redisUrl, token: world().redisToken, enableTelemetry: false });
const fresh = () => `client:${crypto.randomUUID()}`;

test("values round-trip: text, numbers, objects, unicode", async () => {
  const key = fresh();
  for (const value of ["text", 42, { nested: [1, null, "ü"] }, "snow ☃"]) {
    expect(await redis().set(key, value)).toBe("OK");
    expect(await redis().get(key)).toEqual(value);
  }
  expect(await redis().get(fresh())).toBeNull();
});

test("options of SET", async () => {
  const key = fresh();
  expect(await redis().set(key, "a", { nx: true, px: 60_000 })).toBe("OK");
  expect(await redis().set(key, "b", { nx: true })).toBeNull();
  expect(await redis().set(key, "b", { xx: true, get: true, keepTtl: true })).toBe("a");
  expect(await redis().pttl(key)).toBeGreaterThan(50_000);
  await redis().pexpire(key, 10);
  await poll("the key to expire", async () => (await redis().exists(key)) === 0);
});

test("hashes, sets and counters", async () => {
  const [hash, set, count] = [fresh(), fresh(), fresh()];
  expect(await redis().hset(hash, { a: 1, b: "two" })).toBe(2);
  expect(await redis().hgetall(hash)).toEqual({ a: 1, b: "two" });
  expect(await redis().sadd(set, "x", "y")).toBe(2);
  expect((await redis().smembers(set)).sort()).toEqual(["x", "y"]);
  expect(await redis().incrby(count, 5)).toBe(5);
  expect(await redis().mget(count, fresh())).toEqual([5, null]);
  expect(await redis().del(hash, set, count)).toBe(3);
});

test("a pipeline and a transaction", async () => {
  const key = fresh();
  const pipeline = await redis().pipeline().set(key, 1).incr(key).get(key).exec();
  expect(pipeline).toEqual(["OK", 2, 2]);
  const transaction = await redis().multi().set(key, 7).incr(key).exec();
  expect(transaction).toEqual(["OK", 8]);
});

test("an error is thrown with Redis' own words", async () => {
  const key = fresh();
  await redis().sadd(key, "m");
  await expect(redis().get(key)).rejects.toThrow(/WRONGTYPE/);
  const stranger = new Redis({ url: world().redisUrl, token: "wrong", enableTelemetry: false });
  await expect(stranger.get(key)).rejects.toThrow(/WRONGPASS/);
});
