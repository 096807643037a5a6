/**
 * Commands on hashes.
 */
import { at, type CommandTable, command, MANY, pairs } from "../command.ts";
import { bytesToKey, type Keyspace, keyToBytes } from "../keyspace.ts";
import { RedisError, type Reply } from "../reply.ts";

export const HASHES: CommandTable = [
  ["HSET", command(3, MANY, set)],
  [
    "HGET",
    command(2, 2, (keyspace, args) => keyspace.hash(at(args, 0))?.get(bytesToKey(at(args, 1))) ?? null),
  ],
  ["HGETALL", command(1, 1, (keyspace, args) => flat(keyspace.hash(at(args, 0))))],
  ["HDEL", command(2, MANY, remove)],
];

/** Answers how many fields are new. */
function set(keyspace: Keyspace, [key = Buffer.of(), ...rest]: Buffer[]): Reply {
  if (rest.length % 2 === 1) throw new RedisError("ERR wrong number of arguments for 'hset' command");
  const hash = keyspace.hash(key) ?? new Map<string, Buffer>();
  const before = hash.size;
  for (const [field, value] of pairs(rest)) hash.set(bytesToKey(field), value);
  keyspace.put(key, hash, keyspace.expiry(key));
  return hash.size - before;
}

/** Field, value, field, value: Redis' own form of a map. */
function flat(hash: Map<string, Buffer> = new Map()): Reply {
  return [...hash].flatMap(([field, value]) => [keyToBytes(field), value]);
}

function remove(keyspace: Keyspace, [key = Buffer.of(), ...fields]: Buffer[]): Reply {
  const hash = keyspace.hash(key);
  if (!hash) return 0;
  const removed = fields.filter((field) => hash.delete(bytesToKey(field))).length;
  if (hash.size === 0) keyspace.remove(key);
  return removed;
}
