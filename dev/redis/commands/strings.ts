/**
 * Commands on strings.
 */
import {
  at,
  type CommandTable,
  command,
  integer,
  MANY,
  notAnInteger,
  OK,
  pairs,
  syntaxError,
} from "../command.ts";
import type { Keyspace } from "../keyspace.ts";
import { RedisError, type Reply } from "../reply.ts";

export const STRINGS: CommandTable = [
  ["GET", command(1, 1, (keyspace, args) => keyspace.string(at(args, 0)) ?? null)],
  ["SET", command(2, MANY, set)],
  ["GETDEL", command(1, 1, getAndDelete)],
  ["MGET", command(1, MANY, (keyspace, keys) => keys.map((key) => stringOrNull(keyspace, key)))],
  ["MSET", command(2, MANY, setMany)],
  ["INCR", command(1, 1, (keyspace, args) => add(keyspace, at(args, 0), 1))],
  ["DECR", command(1, 1, (keyspace, args) => add(keyspace, at(args, 0), -1))],
  ["INCRBY", command(2, 2, (keyspace, args) => add(keyspace, at(args, 0), integer(at(args, 1))))],
  ["STRLEN", command(1, 1, (keyspace, args) => keyspace.string(at(args, 0))?.length ?? 0)],
  ["APPEND", command(2, 2, append)],
];

interface SetOptions {
  expiresAt?: number;
  keepTtl?: boolean;
  onlyIf?: "NX" | "XX";
  get?: boolean;
}

function set(keyspace: Keyspace, [key = Buffer.of(), value = Buffer.of(), ...rest]: Buffer[]): Reply {
  const options = setOptions(keyspace, rest);
  const exists = keyspace.value(key) !== undefined;
  const previous = options.get ? (keyspace.string(key) ?? null) : null;
  const refused = (options.onlyIf === "NX" && exists) || (options.onlyIf === "XX" && !exists);
  if (!refused) keyspace.put(key, value, options.keepTtl ? keyspace.expiry(key) : options.expiresAt);
  if (options.get) return previous;
  return refused ? null : OK;
}

function setOptions(keyspace: Keyspace, args: Buffer[]): SetOptions {
  const options: SetOptions = {};
  for (let index = 0; index < args.length; index += 1) {
    const option = String(args[index]).toUpperCase();
    if (option === "EX" || option === "PX") {
      if (options.expiresAt !== undefined || options.keepTtl) throw syntaxError();
      index += 1;
      options.expiresAt = keyspace.now() + lifetime(at(args, index)) * (option === "EX" ? 1000 : 1);
    } else if (option === "NX" || option === "XX") {
      if (options.onlyIf !== undefined) throw syntaxError();
      options.onlyIf = option;
    } else if (option === "KEEPTTL" && options.expiresAt === undefined) options.keepTtl = true;
    else if (option === "GET") options.get = true;
    else throw syntaxError();
  }
  return options;
}

function lifetime(value: Buffer): number {
  const amount = integer(value);
  if (amount <= 0) throw new RedisError("ERR invalid expire time in 'set' command");
  return amount;
}

function getAndDelete(keyspace: Keyspace, args: Buffer[]): Reply {
  const value = keyspace.string(at(args, 0)) ?? null;
  keyspace.remove(at(args, 0));
  return value;
}

/** MGET answers null for a key of another type; it never refuses. */
function stringOrNull(keyspace: Keyspace, key: Buffer): Reply {
  const value = keyspace.value(key);
  return Buffer.isBuffer(value) ? value : null;
}

function setMany(keyspace: Keyspace, args: Buffer[]): Reply {
  if (args.length % 2 === 1) throw new RedisError("ERR wrong number of arguments for 'mset' command");
  for (const [key, value] of pairs(args)) keyspace.put(key, value);
  return OK;
}

function add(keyspace: Keyspace, key: Buffer, amount: number): Reply {
  const sum = integer(keyspace.string(key) ?? Buffer.from("0")) + amount;
  if (!Number.isSafeInteger(sum)) throw notAnInteger();
  keyspace.put(key, Buffer.from(String(sum)), keyspace.expiry(key));
  return sum;
}

function append(keyspace: Keyspace, args: Buffer[]): Reply {
  const key = at(args, 0);
  const joined = Buffer.concat([keyspace.string(key) ?? Buffer.of(), at(args, 1)]);
  keyspace.put(key, joined, keyspace.expiry(key));
  return joined.length;
}
