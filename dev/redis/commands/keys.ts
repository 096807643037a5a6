/**
 * Commands on keys of any type, and those on no key at all.
 */
import { at, type CommandTable, command, integer, MANY, OK, syntaxError } from "../command.ts";
import type { Keyspace } from "../keyspace.ts";
import { RedisError, type Reply } from "../reply.ts";

export const KEYS: CommandTable = [
  ["PING", command(0, 1, (_keyspace, [message]) => message ?? Buffer.from("PONG"))],
  ["ECHO", command(1, 1, (_keyspace, args) => at(args, 0))],
  ["DBSIZE", command(0, 0, (keyspace) => keyspace.keys().length)],
  ["FLUSHDB", command(0, 1, flush)],
  ["DEL", command(1, MANY, (keyspace, keys) => keys.filter((key) => keyspace.remove(key)).length)],
  [
    "EXISTS",
    command(1, MANY, (keyspace, keys) => keys.filter((key) => keyspace.value(key) !== undefined).length),
  ],
  ["TYPE", command(1, 1, (keyspace, args) => Buffer.from(typeOf(keyspace, at(args, 0))))],
  ["EXPIRE", command(2, 2, (keyspace, args) => expire(keyspace, args, 1000))],
  ["PEXPIRE", command(2, 2, (keyspace, args) => expire(keyspace, args, 1))],
  ["TTL", command(1, 1, (keyspace, args) => timeToLive(keyspace, at(args, 0), 1000))],
  ["PTTL", command(1, 1, (keyspace, args) => timeToLive(keyspace, at(args, 0), 1))],
  ["KEYS", command(1, 1, (keyspace, args) => keyspace.keys().filter(glob(at(args, 0))))],
  ["SCAN", command(1, MANY, scan)],
  ["TIME", command(0, 0, time)],
];

/** Seconds, and the microseconds beyond them. */
function time(keyspace: Keyspace): Reply {
  const now = keyspace.now();
  return [Math.floor(now / 1000), (now % 1000) * 1000].map((number) => Buffer.from(String(number)));
}

function flush(keyspace: Keyspace): Reply {
  keyspace.clear();
  return OK;
}

function typeOf(keyspace: Keyspace, key: Buffer): string {
  const value = keyspace.value(key);
  if (value === undefined) return "none";
  if (value instanceof Map) return "hash";
  return value instanceof Set ? "set" : "string";
}

function expire(keyspace: Keyspace, args: Buffer[], unit: number): Reply {
  const expiresAt = keyspace.now() + integer(at(args, 1)) * unit;
  return keyspace.expireAt(at(args, 0), expiresAt) ? 1 : 0;
}

/** Redis answers -2 for no key and -1 for no expiry, and rounds seconds to the nearest. */
function timeToLive(keyspace: Keyspace, key: Buffer, unit: number): Reply {
  if (keyspace.value(key) === undefined) return -2;
  const expiresAt = keyspace.expiry(key);
  return expiresAt === undefined ? -1 : Math.round((expiresAt - keyspace.now()) / unit);
}

/** The whole keyspace in one go: the answered cursor is always 0, the end. */
function scan(keyspace: Keyspace, [cursor, ...options]: Buffer[]): Reply {
  if (!/^\d+$/.test(String(cursor))) throw new RedisError("ERR invalid cursor");
  let matches = (_key: Buffer) => true;
  for (let index = 0; index < options.length; index += 2) {
    const option = String(options[index]).toUpperCase();
    const value = at(options, index + 1);
    if (option === "MATCH") matches = glob(value);
    else if (option === "TYPE") matches = (key) => typeOf(keyspace, key) === value.toString();
    else if (option !== "COUNT") throw syntaxError();
  }
  return [Buffer.from("0"), keyspace.keys().filter((key) => matches(key))];
}

/** `*` and `?` only; character classes are out of scope. */
function glob(pattern: Buffer): (key: Buffer) => boolean {
  const source = pattern
    .toString("latin1")
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*/g, ".*")
    .replace(/\?/g, ".");
  const expression = new RegExp(`^${source}$`, "s");
  return (key) => expression.test(key.toString("latin1"));
}
