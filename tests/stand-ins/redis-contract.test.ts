/**
 * What a Redis behind the REST interface answers. The same suite holds the in-process engine and, where this machine has
 * one, a real Redis: the first must not be told from the second.
 */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { realEngine } from "../../dev/redis/engine.ts";
import { MemoryEngine } from "../../dev/redis/memory.ts";
import type { Engine } from "../../dev/redis/reply.ts";
import { type Redis, startRedis } from "../../dev/redis.ts";
import { poll } from "../edge/world.ts";

const real = await realEngine();
if (!real) console.warn("no redis-server and no REDIS_URL: the contract runs on the in-process engine alone");
const engines: Engine[] = [new MemoryEngine(), ...(real ? [real] : [])];

describe.each(engines)("$name", (engine) => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await startRedis({ engine, token: "secret" });
  });
  afterAll(() => redis.close());

  interface Sent {
    status: number;
    // biome-ignore lint/suspicious/noExplicitAny: the body is what the test looks into
    body: any;
  }

  /** Status and body of one command. */
  async function send(
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    method = "POST",
  ): Promise<Sent> {
    const payload = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const answer = await fetch(redis.url + path, {
      method,
      headers: { authorization: "Bearer secret", ...headers },
      ...(payload !== undefined && { body: payload }),
    });
    return { status: answer.status, body: await answer.json() };
  }

  async function result(...command: (string | number)[]): Promise<unknown> {
    const { status, body } = await send("/", command);
    return status === 200 ? body.result : body.error;
  }

  /** A key that no other test of this run has. */
  const fresh = () => `key:${crypto.randomUUID()}`;

  test("strings are set, read, appended to and deleted", async () => {
    const key = fresh();
    expect(await result("GET", key)).toBeNull();
    expect(await result("SET", key, "v")).toBe("OK");
    expect(await result("APPEND", key, "w")).toBe(2);
    expect(await result("STRLEN", key)).toBe(2);
    expect(await result("TYPE", key)).toBe("string");
    expect(await result("GETDEL", key)).toBe("vw");
    expect(await result("EXISTS", key)).toBe(0);
    expect(await result("DEL", key)).toBe(0);
    expect(await result("TYPE", key)).toBe("none");
  });

  test("SET obeys NX, XX and GET", async () => {
    const key = fresh();
    expect(await result("SET", key, "a", "XX")).toBeNull();
    expect(await result("SET", key, "a", "NX")).toBe("OK");
    expect(await result("SET", key, "b", "NX")).toBeNull();
    expect(await result("SET", key, "b", "XX", "GET")).toBe("a");
    expect(await result("GET", key)).toBe("b");
    expect(await result("SET", fresh(), "a", "GET")).toBeNull();
  });

  test("a key expires, and KEEPTTL keeps its time", async () => {
    const key = fresh();
    expect(await result("SET", key, "v", "EX", 100)).toBe("OK");
    expect(await result("TTL", key)).toBe(100);
    expect(await result("SET", key, "w", "KEEPTTL")).toBe("OK");
    expect(await result("PTTL", key)).toBeGreaterThan(90_000);
    expect(await result("SET", key, "x")).toBe("OK");
    expect(await result("TTL", key)).toBe(-1);
    expect(await result("TTL", fresh())).toBe(-2);
    expect(await result("PEXPIRE", key, 20)).toBe(1);
    expect(await result("EXPIRE", fresh(), 1)).toBe(0);
    await poll("the key to expire", async () => (await result("EXISTS", key)) === 0);
    expect(await result("GET", key)).toBeNull();
  });

  test("INCR keeps the expiry", async () => {
    const key = fresh();
    await result("SET", key, "5", "EX", 100);
    expect(await result("INCR", key)).toBe(6);
    expect(await result("INCRBY", key, 10)).toBe(16);
    expect(await result("DECR", key)).toBe(15);
    expect(await result("TTL", key)).toBe(100);
  });

  test("MGET answers null for what is missing or of another type", async () => {
    const [a, b, set] = [fresh(), fresh(), fresh()];
    expect(await result("MSET", a, "1", b, "2")).toBe("OK");
    await result("SADD", set, "m");
    expect(await result("MGET", a, fresh(), set, b)).toEqual(["1", null, null, "2"]);
  });

  test("hashes answer flat lists", async () => {
    const key = fresh();
    expect(await result("HSET", key, "f", "1", "g", "2")).toBe(2);
    expect(await result("HSET", key, "f", "3")).toBe(0);
    expect(await result("HGET", key, "f")).toBe("3");
    expect(await result("HGET", key, "none")).toBeNull();
    expect(await result("HGETALL", key)).toEqual(["f", "3", "g", "2"]);
    expect(await result("hgetall", key)).toEqual(["f", "3", "g", "2"]);
    expect(await result("HGETALL", fresh())).toEqual([]);
    expect(await result("HDEL", key, "f", "g", "h")).toBe(2);
    expect(await result("EXISTS", key)).toBe(0);
  });

  test("sets hold each member once", async () => {
    const key = fresh();
    expect(await result("SADD", key, "a", "b", "a")).toBe(2);
    expect(((await result("SMEMBERS", key)) as string[]).sort()).toEqual(["a", "b"]);
    expect(await result("SREM", key, "a", "z")).toBe(1);
    expect(await result("SREM", key, "b")).toBe(1);
    expect(await result("TYPE", key)).toBe("none");
  });

  test("SCAN finds keys by pattern", async () => {
    const key = fresh();
    await result("SET", key, "v");
    const found = new Set<string>();
    let cursor = "0";
    do {
      const [next, keys] = (await result("SCAN", cursor, "MATCH", `${key.slice(0, -1)}?`, "COUNT", 100)) as [
        string,
        string[],
      ];
      for (const one of keys) found.add(one);
      cursor = next;
    } while (cursor !== "0");
    expect([...found]).toEqual([key]);
  });

  test("PING, ECHO and DBSIZE", async () => {
    expect(await result("PING")).toBe("PONG");
    expect(await result("PING", "hello")).toBe("hello");
    expect(await result("ECHO", "x")).toBe("x");
    expect(await result("DBSIZE")).toBeGreaterThan(0);
  });

  test.each([
    [["LPUSHX"], /^ERR wrong number of arguments for 'lpushx' command|^ERR unknown command 'LPUSHX'/],
    [["NONSENSE", "a"], "ERR unknown command 'NONSENSE', with args beginning with: 'a' "],
    [["GET"], "ERR wrong number of arguments for 'get' command"],
    [["SET", "k", "v", "EX"], "ERR syntax error"],
    [["SET", "k", "v", "EX", "0"], "ERR invalid expire time in 'set' command"],
    [["SET", "k", "v", "EX", "x"], "ERR value is not an integer or out of range"],
    [["SET", "k", "v", "NX", "XX"], "ERR syntax error"],
    [["INCRBY", "n", "1.5"], "ERR value is not an integer or out of range"],
    [["EVAL", "return 1"], "ERR wrong number of arguments for 'eval' command"],
    [["EVAL", "return 1", "x"], "ERR value is not an integer or out of range"],
    [["EVAL", "return 1", "-1"], "ERR Number of keys can't be negative"],
    [["EVAL", "return 1", "1"], "ERR Number of keys can't be greater than number of args"],
    [["MSET", "a", "1", "b"], "ERR wrong number of arguments for 'mset' command"],
  ])("%j is refused with 400", async (command, message) => {
    const { status, body } = await send("/", command);
    expect(status).toBe(400);
    expect(body).toEqual({ error: message instanceof RegExp ? expect.stringMatching(message) : message });
  });

  test("a command on a key of another type is WRONGTYPE", async () => {
    const key = fresh();
    await result("SADD", key, "m");
    const wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    expect(await result("GET", key)).toBe(wrong);
    expect(await result("INCR", key)).toBe(wrong);
    expect(await result("HGET", key, "f")).toBe(wrong);
    await result("SET", key, "v");
    expect(await result("SADD", key, "m")).toBe(wrong);
    expect(await result("INCR", key)).toBe("ERR value is not an integer or out of range");
  });

  test("TIME is seconds and microseconds, and KEYS finds by pattern", async () => {
    const [seconds, micros] = (await result("TIME")) as [string, string];
    expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(60);
    expect(micros).toMatch(/^\d{1,6}$/);
    const key = fresh();
    await result("SET", key, "v");
    expect(await result("KEYS", `${key.slice(0, -2)}*`)).toEqual([key]);
  });

  test.each([
    ["return 7", 7],
    ["return -2.9", -2],
    ["return 4503599627370497", 4_503_599_627_370_497],
    ["return 'ü'", "ü"],
    ["return true", 1],
    ["return false", null],
    ["return nil", null],
    ["return {1, 2.5, 'x', {true, false}}", [1, 2, "x", [1, null]]],
    ["return {1, nil, 3}", [1]],
    ["return {}", []],
    ["return {ok = 'FINE'}", "FINE"],
    ["return redis.status_reply('FINE')", "FINE"],
    ["return {KEYS[1], KEYS[2], ARGV[1], ARGV[2], #KEYS, #ARGV}", ["k", "l", "a", "3", 2, 2]],
    ["return redis.call('ECHO', 3)", "3"],
    ["return string.format('%.0f', tonumber(ARGV[2]) / 2)", "2"],
    ["return type(redis.call('TIME')[1])", "string"],
    ["return redis.pcall('GET').err", /^ERR |^Wrong number of args/i],
    ["return redis.error_reply('ERR because')", "ERR because"],
    ["return redis.call('NONSENSE')", /^ERR unknown/i],
    ["return redis.call('ECHO', {})", /^ERR Lua redis lib command arguments must be strings or integers/],
    ["return redis.call('EVAL', 'return 1', 0)", /^ERR This Redis command is not allowed from script/],
    ["return redis.call('evalsha', 'x', 0)", /^ERR This Redis command is not allowed from script/],
    ["return 1 +", /^ERR Error compiling script \(new function\): user_script:1: /],
    ["return nothing.at.all", /^ERR /],
    ["error('because')", /^ERR user_script:1: because/],
    ["leak = 1", /^ERR .*Attempt to modify a readonly table/],
  ])("EVAL %j", async (script, expected) => {
    const answer = await result("EVAL", script, 2, "k", "l", "a", 3);
    expect(answer).toEqual(expected instanceof RegExp ? expect.stringMatching(expected) : expected);
  });

  test("a script reads and writes, and what it did before an error stays", async () => {
    const [key, set] = [fresh(), fresh()];
    const write = "return {redis.call('GET', KEYS[1]), redis.call('SET', KEYS[1], ARGV[1], 'PX', '90000')}";
    expect(await result("EVAL", write, 1, key, "v")).toEqual([null, "OK"]);
    expect(await result("EVAL", "return redis.call('SET', KEYS[1], 'w').ok", 1, key)).toBe("OK");
    expect(await result("EVAL", write, 1, key, "x")).toEqual(["w", "OK"]);
    expect(await result("PTTL", key)).toBeGreaterThan(80_000);
    await result("SADD", set, "m");
    const half = "redis.call('SET', KEYS[1], 'half') return redis.call('GET', KEYS[2])";
    expect(await result("EVAL", half, 2, key, set)).toMatch(/^WRONGTYPE Operation against a key/);
    expect(await result("GET", key)).toBe("half");
    const caught = "local reply = redis.pcall('GET', KEYS[1]) return reply.err";
    expect(await result("EVAL", caught, 1, set)).toMatch(/^WRONGTYPE Operation against a key/);
  });

  test("EVALSHA runs what EVAL ran or SCRIPT LOAD took, by its SHA-1", async () => {
    const script = `return {'${fresh()}', KEYS[1], ARGV[1]}`;
    const sha = createHash("sha1").update(script).digest("hex");
    expect(await result("EVALSHA", sha, 0)).toBe("NOSCRIPT No matching script. Please use EVAL.");
    expect(await result("SCRIPT", "EXISTS", sha)).toEqual([0]);
    expect(await result("SCRIPT", "LOAD", script)).toBe(sha);
    expect(await result("SCRIPT", "EXISTS", sha, "0".repeat(40))).toEqual([1, 0]);
    expect(await result("EVALSHA", sha.toUpperCase(), 1, "k", "a")).toEqual([expect.any(String), "k", "a"]);
    const other = `return '${fresh()}'`;
    await result("EVAL", other, 0);
    expect(await result("EVALSHA", createHash("sha1").update(other).digest("hex"), 0)).toBe(
      other.slice(8, -1),
    );
  });

  test("SCRIPT LOAD refuses what does not compile, and SCRIPT knows its subcommands", async () => {
    const refused = await result("SCRIPT", "LOAD", "return 1 +");
    expect(refused).toMatch(/^ERR Error compiling script \(new function\): user_script:1: /);
    expect(await result("SCRIPT", "NONSENSE")).toMatch(/^ERR unknown subcommand 'NONSENSE'/i);
  });

  test("scripts that come at once run one after the other", async () => {
    const key = fresh();
    const add =
      "local n = tonumber(redis.call('GET', KEYS[1]) or 0) redis.call('SET', KEYS[1], n + 1) return n";
    const seen = await Promise.all(Array.from({ length: 50 }, () => result("EVAL", add, 1, key)));
    expect(seen.map(Number).sort((one, other) => one - other)).toEqual(
      Array.from({ length: 50 }, (_, index) => index),
    );
  });

  test("path style appends the body and then the query", async () => {
    const key = fresh();
    expect(await send(`/set/${key}?EX=100`, "a b/c")).toEqual({ status: 200, body: { result: "OK" } });
    expect((await send(`/get/${key}`, undefined, {}, "GET")).body).toEqual({ result: "a b/c" });
    expect((await send(`/ttl/${key}`, undefined, {}, "GET")).body).toEqual({ result: 100 });
    expect((await send(`/set/${key}/${encodeURIComponent("ü/")}?XX`, undefined, {}, "GET")).body.result).toBe(
      "OK",
    );
    expect((await send(`/get/${key}`, undefined, {}, "GET")).body).toEqual({ result: "ü/" });
  });

  test("bytes survive: base64 encodes every string but OK", async () => {
    const key = fresh();
    const bytes = Buffer.from([0, 255, 128, 10]);
    const put = await fetch(`${redis.url}/set/${key}`, {
      method: "PUT",
      headers: { authorization: "Bearer secret", "upstash-encoding": "base64" },
      body: bytes,
    });
    expect(await put.json()).toEqual({ result: "OK" });
    const encoded = { "upstash-encoding": "base64" };
    expect((await send("/", ["GET", key], encoded)).body).toEqual({ result: bytes.toString("base64") });
    expect((await send("/", ["MGET", key, "none"], encoded)).body.result).toEqual([
      bytes.toString("base64"),
      null,
    ]);
    expect((await send("/", ["PING"], encoded)).body.result).toBe(Buffer.from("PONG").toString("base64"));
    expect((await send("/", ["STRLEN", key], encoded)).body.result).toBe(4);
    expect((await send("/", ["GET", key])).body.result).toContain("\uFFFD");
  });

  test("a pipeline answers each command for itself", async () => {
    const key = fresh();
    const commands = [["SET", key, 1], ["INCR", key], ["HGET", key, "f"], ["NONSENSE"], ["GET", key]];
    const { status, body } = await send("/pipeline", commands);
    expect(status).toBe(200);
    expect(body).toEqual([
      { result: "OK" },
      { result: 2 },
      { error: expect.stringMatching(/^WRONGTYPE/) },
      { error: expect.stringMatching(/^ERR unknown command/) },
      { result: "2" },
    ]);
  });

  test("multi-exec answers errors of its commands one by one, and discards what cannot be queued", async () => {
    const key = fresh();
    const ran = await send("/multi-exec", [
      ["SET", key, 1],
      ["HGET", key, "f"],
      ["INCR", key],
    ]);
    expect(ran.status).toBe(200);
    expect(ran.body).toEqual([
      { result: "OK" },
      { error: expect.stringMatching(/^WRONGTYPE/) },
      { result: 2 },
    ]);
    const discarded = await send("/multi-exec", [["SET", key, 9], ["GET"]]);
    expect(discarded.status).toBe(400);
    expect(discarded.body).toEqual({
      error: "EXECABORT Transaction discarded because of previous errors.",
    });
    expect(await result("GET", key)).toBe("2");
  });

  test("a token is needed, as bearer or as _token", async () => {
    const wrong = await send("/", ["PING"], { authorization: "Bearer other" });
    expect(wrong).toEqual({ status: 401, body: { error: expect.stringMatching(/^WRONGPASS/) } });
    const bare = await fetch(`${redis.url}/ping?_token=secret`);
    expect(await bare.json()).toEqual({ result: "PONG" });
  });

  test("other methods and broken bodies are refused", async () => {
    expect((await send("/", ["PING"], {}, "DELETE")).status).toBe(405);
    expect((await send("/", "{")).status).toBe(400);
    expect((await send("/", {})).status).toBe(400);
    expect((await send("/pipeline", {})).status).toBe(400);
  });

  test("faults happen as often as asked, to what they match", async () => {
    const key = fresh();
    const fault = async (body: object) => send("/admin/faults", { ...body, match: key });
    await fault({ kind: "status500", times: 2 });
    expect((await send("/", ["GET", key])).status).toBe(500);
    expect((await send("/", ["GET", fresh()])).status).toBe(200);
    expect((await send("/", ["GET", key])).status).toBe(500);
    expect((await send("/", ["GET", key])).status).toBe(200);
    await fault({ kind: "garbage" });
    await expect(send("/", ["GET", key])).rejects.toThrow(SyntaxError);
    await fault({ kind: "drop" });
    await expect(send("/", ["GET", key])).rejects.toThrow();
    expect((await fault({ kind: "nonsense" })).status).toBe(400);
  });
});
