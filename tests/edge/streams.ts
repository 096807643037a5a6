/**
 * A live reader of a scope's log for the edge tests.
 *
 * In scope: one request and what comes of it. Out of scope: coming again, which real clients do (tests/clients).
 */
import { expectStatus, type User } from "./actors.ts";
import { device, mutation, push, readScope, type Scope } from "./pushes.ts";
import type { StateMessage } from "./shapes.ts";
import { type Cell, poll, world } from "./world.ts";

/** `control` of Durable Streams. */
export interface Control {
  streamNextOffset: string;
  streamCursor: string;
  upToDate?: boolean;
}

export interface Listener extends AsyncDisposable {
  status: number;
  headers: Headers;
  messages: StateMessage[];
  controls: Control[];
  /** Whether the server has ended the stream. */
  ended(): boolean;
  /** Resolves with the messages once there are so many. */
  received(count: number): Promise<StateMessage[]>;
  /** Goes away. */
  leave(): void;
}

export function streamPath(place: { id: string }, scope: Scope, query: string): string {
  return `/v1/workspaces/${place.id}/sync/${scope.type}/${scope.id}${query}`;
}

/** Opens a stream of events; resolves with its head. */
export async function listen(
  caller: User,
  place: { id: string },
  scope: Scope,
  offset: string,
  headers: Record<string, string> = {},
): Promise<Listener> {
  const controller = new AbortController();
  const response = await fetch(`${caller.api}${streamPath(place, scope, `?live=sse&offset=${offset}`)}`, {
    headers: { authorization: `Bearer ${caller.token}`, ...headers },
    signal: controller.signal,
  });
  const messages: StateMessage[] = [];
  const controls: Control[] = [];
  let ended = false;
  const reading = readEvents(response, messages, controls)
    .catch(() => {})
    .finally(() => {
      ended = true;
    });
  const leave = () => controller.abort();
  return {
    status: response.status,
    headers: response.headers,
    messages,
    controls,
    ended: () => ended,
    received: (count) => poll(`${count} messages`, async () => messages.length >= count && messages),
    leave,
    [Symbol.asyncDispose]: async () => {
      leave();
      await reading;
    },
  };
}

async function readEvents(response: Response, messages: StateMessage[], controls: Control[]): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const events = text.split("\n\n");
    text = events.pop() ?? "";
    for (const event of events) {
      const lines = event.split("\n");
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
      if (lines[0] === "event: data") messages.push(...(JSON.parse(data.join("\n")) as StateMessage[]));
      else if (lines[0] === "event: control") controls.push(JSON.parse(data.join("\n")) as Control);
    }
  }
}

/** Where every scope begins. */
export const START = "1_0000000000000000";

/** The same person on another isolate. */
export function at(caller: User, index: number, cell: Cell = world()): User {
  return { ...caller, api: cell.apis[index] ?? cell.api };
}

/** The versions of these messages. */
export function versions(messages: StateMessage[]): number[] {
  return messages.map((message) => message.headers.version);
}

/** One long-poll. */
export function longPoll(caller: User, place: { id: string }, scope: Scope, offset: string, cursor = "") {
  return readScope(caller, place, scope, `?offset=${offset}&live=long-poll${cursor && `&cursor=${cursor}`}`);
}

/** A device of this caller that has pushed one mutation. */
export async function pushOne(caller: User, place: { id: string }, scope: Scope) {
  const one = device(caller, place);
  const sent = mutation(one, scope);
  expectStatus(await push(one, [sent]), 200);
  return { one, sent };
}
