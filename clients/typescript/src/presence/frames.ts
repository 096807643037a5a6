/**
 * What a room tells its clients, version 1 of the protocol (docs/presence.md).
 */
import type { Value } from "../api/types.ts";

/** What one client of the room shows: a tab, a device, a program. */
export interface Peer {
  client_id: string;
  user_id: string;
  name: string | null;
  /** The places it looks at, such as `request/r1`. */
  at: string[];
  state: Value;
  /** Grows with each update of this client. */
  clock: number;
  seen_at: string;
}

export interface Limits {
  state_bytes: number;
  frames_per_s: number;
  tick_ms: number;
}

/** A scope of sync that a push has moved. */
export interface Moved {
  type: string;
  id: string;
  generation: number;
  epoch: number;
}

export type Frame =
  | { kind: "hello"; v: number; client_id: string; peers: Peer[]; limits: Limits; more: boolean }
  | { kind: "patch"; peers: Peer[] }
  | { kind: "leave"; peers: { client_id: string; clock: number }[] }
  | { kind: "notice"; scopes: Moved[] }
  | { kind: "probe"; n: number }
  | { kind: "error"; code: number; detail: string; retry_after_ms?: number };

/** What each kind has a list of. */
const LISTS: Record<Frame["kind"], string | undefined> = {
  hello: "peers",
  patch: "peers",
  leave: "peers",
  notice: "scopes",
  probe: undefined,
  error: undefined,
};

/** None for `pong`, for kinds that came after this client, and for what no room says. */
export function frameOf(text: unknown): Frame | undefined {
  if (typeof text !== "string") return undefined;
  try {
    const frame = JSON.parse(text) as (Frame & Record<string, unknown>) | null;
    if (!frame || !Object.hasOwn(LISTS, frame.kind)) return undefined;
    const list = LISTS[frame.kind];
    return list === undefined || Array.isArray(frame[list]) ? frame : undefined;
  } catch {
    return undefined;
  }
}
