/**
 * Hearing a room by server-sent events, where there are no sockets: read-only, and not seen.
 */
import type { Http } from "../http/http.ts";
import type { Hearing } from "./connection.ts";
import { type End, LOST, toldEnd } from "./ends.ts";
import { type Frame, frameOf } from "./frames.ts";

const READ = "GET /v1/workspaces/{ws}/presence";

/** A comment comes every 60 s: without two of them nobody is there any more. */
const SILENCE_MS = 130_000;

export interface Listening {
  http: Http;
  /** The places to hear of; none for all. */
  to: string[] | null;
  /** The last event that was read, which the next stream goes on from. */
  last: { id: string };
}

interface Event {
  id: string;
  data: string;
}

/** Resolves when it has ended; throws what refused it. */
export async function listen({ http, to, last }: Listening, hearing: Hearing): Promise<End> {
  const { timer, onFrame, onResume } = hearing;
  const ended = new AbortController();
  const signal = AbortSignal.any([hearing.signal, ended.signal]);
  const headers = { accept: "text/event-stream", ...(last.id ? { "last-event-id": last.id } : {}) };
  const response = await http.stream(READ, { headers, query: { at: to?.join(",") }, signal });
  if (last.id) onResume();
  const since = timer.now();
  let heard = since;
  let told: Extract<Frame, { kind: "error" }> | undefined;
  const silent = async () => {
    while (!signal.aborted && timer.now() - heard < SILENCE_MS) await timer.wait(SILENCE_MS, signal);
    ended.abort();
  };
  void silent();
  try {
    for await (const event of events(response, () => (heard = timer.now()))) {
      last.id = event.id || last.id;
      const frame = frameOf(event.data);
      if (frame?.kind === "error") told = frame;
      else if (frame && !signal.aborted) onFrame(frame, undefined);
    }
  } catch {
    // Cut off, or left.
  } finally {
    ended.abort();
  }
  return { ...toldEnd(LOST.code, "", told), livedMs: timer.now() - since };
}

/** The events of a body, as they come. */
async function* events(response: Response, onBytes: () => void): AsyncGenerator<Event> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) return;
    onBytes();
    text += decoder.decode(value, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) yield eventOf(block);
  }
}

function eventOf(block: string): Event {
  const lines = block.split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line));
  const all = (name: string) => lines.flatMap((line) => (line?.[1] === name ? [line[2] ?? ""] : []));
  return { id: all("id").at(-1) ?? "", data: all("data").join("\n") };
}
