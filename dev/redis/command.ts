/**
 * A command of the in-process Redis, and the argument checks that several commands share.
 */
import type { Keyspace } from "./keyspace.ts";
import { RedisError, type Reply } from "./reply.ts";

export interface Command {
  /** Least and most number of arguments, the command's name not counted. */
  arity: [number, number];
  run(keyspace: Keyspace, args: Buffer[]): Reply;
}

export type CommandTable = [string, Command][];

export const MANY = Number.POSITIVE_INFINITY;
export const OK = Buffer.from("OK");

export const notAnInteger = () => new RedisError("ERR value is not an integer or out of range");
export const syntaxError = () => new RedisError("ERR syntax error");

export function command(least: number, most: number, run: Command["run"]): Command {
  return { arity: [least, most], run };
}

/** The argument at `index`; an absent one is a syntax error, as after an option that wants a value. */
export function at(args: Buffer[], index: number): Buffer {
  const value = args[index];
  if (value === undefined) throw syntaxError();
  return value;
}

export function integer(value: Buffer): number {
  const text = value.toString();
  if (!/^(0|-?[1-9]\d*)$/.test(text) || !Number.isSafeInteger(Number(text))) throw notAnInteger();
  return Number(text);
}

/** `[a, b, c, d]` → `[[a, b], [c, d]]`. */
export function pairs(args: Buffer[]): [Buffer, Buffer][] {
  const found: [Buffer, Buffer][] = [];
  for (let index = 0; index < args.length; index += 2) found.push([at(args, index), at(args, index + 1)]);
  return found;
}
