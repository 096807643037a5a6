/**
 * A real Redis as engine. ioredis reconnects and knows the protocol; its reply transformers are not used, because
 * Upstash answers what Redis says (HGETALL is a flat list, not an object).
 */
import { Command, Redis } from "ioredis";
import { type Engine, RedisError, type Reply } from "./reply.ts";

Command.setReplyTransformer("hgetall", (reply) => reply);

export class RealEngine implements Engine {
  readonly name: string;
  readonly #redis: Redis;

  private constructor(redis: Redis, name: string) {
    this.#redis = redis;
    this.name = name;
  }

  /** A server that is just starting is waited for; one that does not answer is an error after about two seconds. */
  static async connect(url: string, name: string): Promise<RealEngine> {
    const retryStrategy = (times: number) => (times > 40 ? null : 50);
    const redis = new Redis(url, { lazyConnect: true, retryStrategy, maxRetriesPerRequest: 40 });
    redis.on("error", () => {});
    await redis.ping().catch((error: Error) => {
      throw new Error(`Redis at ${url} does not answer: ${error.message}`);
    });
    return new RealEngine(redis, name);
  }

  async execute(command: Buffer[]): Promise<Reply> {
    const [name = Buffer.of(), ...rest] = command;
    try {
      return normalize(await this.#redis.callBuffer(name.toString(), ...rest));
    } catch (error) {
      throw new RedisError((error as Error).message);
    }
  }

  async transaction(commands: Buffer[][]): Promise<(Reply | RedisError)[]> {
    const multi = this.#redis.multi();
    for (const [name = Buffer.of(), ...rest] of commands) multi.callBuffer(name.toString(), ...rest);
    try {
      const results = (await multi.exec()) ?? [];
      return results.map(([error, value]) => (error ? new RedisError(error.message) : normalize(value)));
    } catch (error) {
      throw new RedisError((error as Error).message);
    }
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }
}

/** Status replies ("OK") may arrive as strings. */
function normalize(value: unknown): Reply {
  if (typeof value === "string") return Buffer.from(value);
  if (Array.isArray(value)) return value.map(normalize);
  return value as Reply;
}
