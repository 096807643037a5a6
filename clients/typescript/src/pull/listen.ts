/**
 * Reading a scope's log as a stream of events (Durable Streams, `live=sse`): one request brings whatever comes within a
 * minute.
 */
import type { Message, Scope } from "../api/types.ts";
import { DreyError } from "../http/errors.ts";
import type { Http } from "../http/http.ts";
import { partsOf } from "../http/parts.ts";
import { eventsOf } from "../http/sse.ts";
import { type Chunk, READ, type Reading } from "./read.ts";

/** The server says something every 5 s. */
const SILENCE_MS = 30_000;

/** What somebody between here and drey does not let through as it comes: those who wait are to ask in another way. */
export class NoStream extends DreyError {
  constructor(reason: unknown) {
    super(
      "no-stream",
      `no stream of events came: ${reason instanceof Error ? reason.message : reason}`,
      reason,
    );
  }
}

interface Control {
  streamNextOffset: string;
  streamCursor: string;
  upToDate?: boolean;
}

/** Opens a stream; what it gives are the chunks of the log after the offset. It ends when the server ends it. */
export async function openStream(
  http: Http,
  scope: Scope,
  { offset, cursor, signal }: Reading,
): Promise<AsyncGenerator<Chunk>> {
  const path = { scope_type: scope.type, scope_id: scope.id };
  const response = await http.stream(READ, { path, query: { offset, live: "sse", cursor }, signal });
  if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
    return chunksOf(response, offset, signal);
  }
  response.body?.cancel().catch(() => {});
  throw new NoStream("the answer is no stream of events");
}

async function* chunksOf(response: Response, offset: string, signal: AbortSignal): AsyncGenerator<Chunk> {
  let [from, messages]: [string, Message[]] = [offset, []];
  let isStream = false;
  try {
    for await (const { name, data } of eventsOf(partsOf(response, SILENCE_MS))) {
      if (name === "data") messages.push(...(JSON.parse(data) as Message[]));
      if (name !== "control") continue;
      const control = JSON.parse(data) as Control;
      isStream = true;
      const { streamNextOffset: next, streamCursor: cursor, upToDate: isEnd = false } = control;
      yield { from, messages, next, isEnd, cursor };
      [from, messages] = [next, []];
    }
  } catch (error) {
    // The first event comes at once: where none does, somebody collects them. What is no JSON is nobody's of ours.
    if ((!isStream && !signal.aborted) || error instanceof SyntaxError) throw new NoStream(error);
    throw error;
  }
  if (!isStream) throw new NoStream("the stream had no events");
}
