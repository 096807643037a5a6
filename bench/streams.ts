/**
 * `@durable-streams/server` beside drey: the same protocol, from its authors. It keeps streams in memory and knows no credentials,
 * tenants or limits, so its figures say what the protocol costs where nothing stands behind it.
 */
import { startNode } from "./cells.ts";
import { http, type Side, type Turn } from "./workload.ts";

const NAME = "durable-streams";

export function durableStreams(): Side {
  return { name: NAME, start: () => startNode("streams/server.ts", []) };
}

/** Whether this turn asks their server. */
export function isTheirs({ side }: Pick<Turn, "side">): boolean {
  return side === NAME;
}

/** Its address, among those of a workload's sides; none in a run that leaves it out. */
export function theirs(sides: Side[], apis: string[]): string | undefined {
  return apis[sides.findIndex(({ name }) => name === NAME)];
}

/** Makes a stream on their server, if it runs, that begins with these messages, a JSON array. */
export async function fillStream(api: string | undefined, path: string, messages: string): Promise<void> {
  if (api === undefined) return;
  const url = `${api}${path}`;
  const headers = { "content-type": "application/json" };
  const answer = await fetch(url, { method: "PUT", headers, body: messages });
  if (!answer.ok) throw new Error(`PUT ${url}: ${answer.status} ${await answer.text()}`);
}

export function readStream(path: string, offset: string, live = false): Buffer {
  return http("GET", `${path}?offset=${offset}${live ? "&live=long-poll" : ""}`);
}

export function appendTo(path: string, messages: string): Buffer {
  return http("POST", path, {}, messages);
}
