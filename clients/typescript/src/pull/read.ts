/**
 * One read of a scope's log (Durable Streams): from an offset to the next, or waiting there.
 */
import type { Message, Scope } from "../api/types.ts";
import type { Http } from "../http/http.ts";

export const READ = "GET /v1/workspaces/{ws}/sync/{scope_type}/{scope_id}";

/** How long a read that waits may take: the server answers after 20 s at the latest. */
const LIVE_DEADLINE_MS = 60_000;

export interface Chunk {
  /** Where it was asked for. */
  from: string;
  messages: Message[];
  /** Where to go on. */
  next: string;
  /** Whether nothing came after it when it was read. */
  isEnd: boolean;
  /** To be sent with the next read that waits; none if this one did not. */
  cursor: string | undefined;
}

export interface Reading {
  offset: string;
  /** Wait at the end for more. */
  live?: boolean;
  cursor?: string | undefined;
  signal: AbortSignal;
}

export async function readLog(http: Http, scope: Scope, reading: Reading): Promise<Chunk> {
  const { offset, live = false, cursor, signal } = reading;
  const path = { scope_type: scope.type, scope_id: scope.id };
  const waiting = live ? { deadlineMs: LIVE_DEADLINE_MS } : {};
  const query = live ? { offset, live: "long-poll" as const, cursor } : { offset };
  const { headers, body } = await http.call(READ, { path, query, signal, ...waiting });
  return {
    from: offset,
    messages: (body ?? []) as unknown as Message[],
    next: headers.get("stream-next-offset") ?? offset,
    isEnd: headers.get("stream-up-to-date") === "true",
    cursor: headers.get("stream-cursor") ?? undefined,
  };
}
