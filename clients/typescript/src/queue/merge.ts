/**
 * Bringing an unsent change up to date with what became of the one it was made from. Only what is beyond doubt is merged here:
 * the rest is sent as it is, and the server, which knows more, decides.
 */
import type { Value } from "../api/types.ts";

const ABSENT = Symbol("absent");

/** `mine`, made from `base`, on top of `theirs`; undefined where both changed the same. Null is a deleted document. */
export function merge(
  base: Value | null,
  mine: Value | null,
  theirs: Value | null,
): { value: Value | null } | undefined {
  const merged = merged3(base, mine, theirs);
  return merged === undefined ? undefined : { value: merged as Value | null };
}

function merged3(base: unknown, mine: unknown, theirs: unknown): unknown {
  if (isEqual(mine, theirs) || isEqual(base, mine)) return theirs;
  if (isEqual(base, theirs)) return mine;
  if (!isObject(base) || !isObject(mine) || !isObject(theirs)) return undefined;
  const merged: [string, unknown][] = [];
  for (const name of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const member = merged3(memberOf(base, name), memberOf(mine, name), memberOf(theirs, name));
    if (member === undefined) return undefined;
    if (member !== ABSENT) merged.push([name, member]);
  }
  // Not by assignment: `__proto__` is a name like any other.
  return Object.fromEntries(merged);
}

function memberOf(object: Value, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : ABSENT;
}

function isObject(value: unknown): value is Value {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The same JSON, whatever the order of members. */
export function isEqual(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((element, index) => isEqual(element, other[index]));
  }
  if (!isObject(one) || !isObject(other)) return false;
  const names = Object.keys(one);
  return (
    names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && isEqual(one[name], other[name]))
  );
}
