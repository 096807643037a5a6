/**
 * What is kept under which key. Stores live for months on users' machines: a change here must read what was written before.
 */
import type { Entity, Outcome, Scope, SentMutation, Value } from "../api/types.ts";
import type { Transaction } from "../store/store.ts";

/** Who the client is, and how far its queue. */
export interface Meta {
  client_id: string;
  /** The session that pushes name; null before there is one. */
  session_id: string | null;
  /** The number of the newest mutation. */
  last_id: number;
  /** All up to this one were sent, perhaps in vain: they are never changed again. */
  attempted_id: number;
  /** All up to this one are processed and out of the queue. */
  settled_id: number;
  /** The outcomes up to this one were told to whoever listens. */
  acked_id: number;
}

/** A mutation that waits for its outcome. Its number is in its key. */
export interface Queued {
  /** A name of its own that outlives a new number. */
  ref: string;
  scope: Scope;
  entity: Entity;
  op: SentMutation["op"];
  value?: Value;
  base_version: number | null;
  /** What it had seen of other clients in the scope's log. */
  seen: Record<string, number>;
  /** Whether it was made on top of the one before it of the same entity. */
  is_chained: boolean;
}

/** A mutation with its outcome, until it was told. */
export interface Settled {
  id: number;
  mutation: Queued;
  outcome: Outcome;
}

/** What is known of an entity. */
export interface Held {
  /** Of `value`; 0 if the server was not heard of it. */
  version: number;
  /** What stands on the server, null if it is deleted or unknown. */
  value: Value | null;
  /** The snapshot that last named it, while one is read. */
  load?: string;
  /** What is queued, and what the last of it would leave. */
  pending?: { ids: number[]; value: Value | null };
}

/** How far a scope's log was read. */
export interface Place {
  offset: string;
  /** The newest mutation of each client that was read; those heard of last come last. */
  seen: Record<string, number>;
  /** A name for the snapshot that is being read; none between. */
  load?: string | undefined;
}

export const META = "meta";
export const QUEUE = "queue/";
export const OUTCOMES = "outcome/";
/** Where a log is first read: the state as it is, without its history. */
export const START = "snapshot";

/** 2^53 has sixteen digits: the keys' order is the numbers'. */
export function queueKey(id: number): string {
  return QUEUE + String(id).padStart(16, "0");
}

/** The epoch up to which everything of the scope is known; 0 while a snapshot is read. */
export function epochOf({ offset }: Pick<Place, "offset">): number {
  return Number(/^\d+_(\d+)$/.exec(offset)?.[1] ?? 0);
}

export function outcomeKey(id: number): string {
  return OUTCOMES + String(id).padStart(16, "0");
}

export function numberIn(key: string): number {
  return Number(key.slice(key.indexOf("/") + 1));
}

export function placeKey({ type, id }: Scope): string {
  return `place/${encodeURIComponent(type)}/${encodeURIComponent(id)}`;
}

export function scopePrefix({ type, id }: Scope): string {
  return `document/${encodeURIComponent(type)}/${encodeURIComponent(id)}/`;
}

export function documentKey(scope: Scope, entity: Entity): string {
  return `${scopePrefix(scope)}${encodeURIComponent(entity.type)}/${encodeURIComponent(entity.id)}`;
}

export function entityIn(key: string): Entity {
  const [, , , type = "", id = ""] = key.split("/");
  return { type: decodeURIComponent(type), id: decodeURIComponent(id) };
}

/** A client that nobody knows yet gets its id here. */
export async function metaOf(transaction: Transaction): Promise<Meta> {
  const zero = { session_id: null, last_id: 0, attempted_id: 0, settled_id: 0, acked_id: 0 };
  return (await transaction.get<Meta>(META)) ?? { client_id: crypto.randomUUID(), ...zero };
}

export async function heldOf(transaction: Transaction, scope: Scope, entity: Entity): Promise<Held> {
  return (await transaction.get<Held>(documentKey(scope, entity))) ?? { version: 0, value: null };
}

export async function placeOf(transaction: Transaction, scope: Scope): Promise<Place> {
  return (await transaction.get<Place>(placeKey(scope))) ?? { offset: START, seen: {} };
}
