/**
 * Hearing a room by server-sent events, where there are no sockets: read-only, and not seen.
 */
import type { Http } from "../http/http.ts";
import { partsOf } from "../http/parts.ts";
import { eventsOf } from "../http/sse.ts";
import type { Hearing } from "./connection.ts";
import { type End, LOST, toldEnd } from "./ends.ts";
import { type Frame, frameOf } from "./frames.ts";

const READ = "GET /v1/workspaces/{ws}/presence";

/** A comment comes every 60 s: without two of them nobody is there any more. */
const SILENCE_MS = 130_000;

export interface Listening {
  http: Http;
  /** The places to hear of; null for all. */
  to: string[] | null;
  /** The last event that was read, which the next stream goes on from. */
  last: { id: string };
}

/** Resolves when it has ended; throws what refused it. */
export async function listen({ http, to, last }: Listening, hearing: Hearing): Promise<End> {
  const { timer, signal, onFrame, onResume } = hearing;
  const headers = { accept: "text/event-stream", ...(last.id ? { "last-event-id": last.id } : {}) };
  const response = await http.stream(READ, { headers, query: { at: to?.join(",") }, signal });
  if (last.id) onResume();
  const since = timer.now();
  let told: Extract<Frame, { kind: "error" }> | undefined;
  try {
    for await (const { id, data } of eventsOf(partsOf(response, SILENCE_MS))) {
      if (signal.aborted) break;
      const frame = frameOf(data);
      if (frame?.kind === "error") told = frame;
      else if (frame) onFrame(frame, undefined);
      last.id = id ?? last.id;
    }
  } catch {
    // Cut off, silent, or left.
  }
  return { ...toldEnd(LOST.code, "", told), livedMs: timer.now() - since };
}
