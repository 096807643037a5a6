/**
 * Keys, their values and their expiry. Keys and members are bytes, kept as latin1 text so that they compare by content.
 */
import { RedisError } from "./reply.ts";

export type Value = Buffer | Map<string, Buffer> | Set<string>;

interface Entry {
  value: Value;
  /** Milliseconds since the epoch. */
  expiresAt: number | undefined;
}

export const bytesToKey = (bytes: Buffer) => bytes.toString("latin1");
export const keyToBytes = (key: string) => Buffer.from(key, "latin1");

const wrongType = () => new RedisError("WRONGTYPE Operation against a key holding the wrong kind of value");

export class Keyspace {
  readonly now: () => number;
  /** Scripts by the SHA-1 of their text. They are no keys: FLUSHALL leaves them. */
  readonly scripts = new Map<string, string>();
  readonly #entries = new Map<string, Entry>();

  constructor(now: () => number) {
    this.now = now;
  }

  value(key: Buffer): Value | undefined {
    return this.#live(bytesToKey(key))?.value;
  }

  string(key: Buffer): Buffer | undefined {
    const value = this.value(key);
    if (value !== undefined && !Buffer.isBuffer(value)) throw wrongType();
    return value;
  }

  hash(key: Buffer): Map<string, Buffer> | undefined {
    const value = this.value(key);
    if (value !== undefined && !(value instanceof Map)) throw wrongType();
    return value;
  }

  set(key: Buffer): Set<string> | undefined {
    const value = this.value(key);
    if (value !== undefined && !(value instanceof Set)) throw wrongType();
    return value;
  }

  /** Replaces the value and, unless `expiresAt` says otherwise, ends its expiry. */
  put(key: Buffer, value: Value, expiresAt?: number): void {
    this.#entries.set(bytesToKey(key), { value, expiresAt });
  }

  expiry(key: Buffer): number | undefined {
    return this.#live(bytesToKey(key))?.expiresAt;
  }

  /** False when there is no such key. */
  expireAt(key: Buffer, expiresAt: number): boolean {
    const entry = this.#live(bytesToKey(key));
    if (entry) entry.expiresAt = expiresAt;
    return entry !== undefined;
  }

  remove(key: Buffer): boolean {
    return this.#live(bytesToKey(key)) !== undefined && this.#entries.delete(bytesToKey(key));
  }

  keys(): Buffer[] {
    return [...this.#entries.keys()].filter((key) => this.#live(key) !== undefined).map(keyToBytes);
  }

  clear(): void {
    this.#entries.clear();
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry?.expiresAt === undefined || entry.expiresAt > this.now()) return entry;
    this.#entries.delete(key);
    return undefined;
  }
}
