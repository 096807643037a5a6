/**
 * What a Redis command answers, and how Upstash's REST interface writes it down.
 */

/** Strings are bytes; only the JSON encoding decides how they read. */
export type Reply = null | number | Buffer | Reply[];

/** A command that Redis refused; the message begins with its kind: `ERR …`, `WRONGTYPE …`. */
export class RedisError extends Error {}

/** What stands behind the REST interface: a real Redis or the in-process one. */
export interface Engine {
  /** For the ready block and test names. */
  readonly name: string;
  /** Throws `RedisError` when the command is refused. */
  execute(command: Buffer[]): Promise<Reply>;
  /** All or nothing to other callers; a command that fails while it runs answers with its error, the others stand. */
  transaction(commands: Buffer[][]): Promise<(Reply | RedisError)[]>;
  close(): Promise<void>;
}

export type Json = null | number | string | Json[];

/** `Upstash-Encoding: base64` encodes every string but exactly "OK"; without it invalid UTF-8 becomes U+FFFD. */
export function encode(reply: Reply, base64: boolean): Json {
  if (Array.isArray(reply)) return reply.map((item) => encode(item, base64));
  if (!Buffer.isBuffer(reply)) return reply;
  const text = reply.toString("utf8");
  return base64 && text !== "OK" ? reply.toString("base64") : text;
}
