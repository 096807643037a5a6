/**
 * Commands on sets.
 */
import { at, type CommandTable, command, MANY } from "../command.ts";
import { bytesToKey, type Keyspace, keyToBytes } from "../keyspace.ts";
import type { Reply } from "../reply.ts";

export const SETS: CommandTable = [
  ["SADD", command(2, MANY, add)],
  ["SREM", command(2, MANY, remove)],
  ["SMEMBERS", command(1, 1, (keyspace, args) => [...(keyspace.set(at(args, 0)) ?? [])].map(keyToBytes))],
];

/** Answers how many members are new. */
function add(keyspace: Keyspace, [key = Buffer.of(), ...members]: Buffer[]): Reply {
  const set = keyspace.set(key) ?? new Set<string>();
  const before = set.size;
  for (const member of members) set.add(bytesToKey(member));
  keyspace.put(key, set, keyspace.expiry(key));
  return set.size - before;
}

function remove(keyspace: Keyspace, [key = Buffer.of(), ...members]: Buffer[]): Reply {
  const set = keyspace.set(key);
  if (!set) return 0;
  const removed = members.filter((member) => set.delete(bytesToKey(member))).length;
  if (set.size === 0) keyspace.remove(key);
  return removed;
}
