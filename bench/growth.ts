/**
 * The same work at three sizes of what it may depend on. The first side is the largest, so that a ratio says how much
 * dearer a request is there.
 */
import { drey } from "./sides.ts";
import type { Side, Target } from "./workload.ts";

/** Of tenants, members, rows: 1, 10 and 100 times. */
export type Sizes = readonly [number, number, number];

export function sidesOf(sizes: Sizes, settings: Parameters<typeof drey>[0] = {}): Side[] {
  return sizes.toReversed().map((size) => drey(settings, {}, {}, nameOf(size)));
}

/** From 1 to 100 times a request becomes at most this much dearer. */
export function grownBy([least]: Sizes): Target {
  return { figure: "cpu", peer: nameOf(least), most: 1.3 };
}

/** Of a side. */
export function nameOf(size: number): string {
  return `drey@${size}`;
}

/** The size that a side is about, whatever else its name says. */
export function sizeOf(side: string): number {
  return Number.parseInt(side.slice(side.indexOf("@") + 1), 10);
}
