/**
 * drey's scopes under the addresses and with the bodies of the Durable Streams conformance suite, which knows neither
 * credentials nor drey's writes.
 *
 * In scope: a token on each request, PUT as a project whose scope is the stream, POST as a push of one document a message,
 * DELETE as the project's, State messages unwrapped to what was posted. Statuses and headers of reads, of deletes and of what
 * is refused are drey's own, but for the media type. Out of scope: what drey does not have, such as streams that close,
 * expire or fork.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { call, nowhere, type OwnedWorkspace, project } from "../edge/actors.ts";
import { device, mutation, push, type Scope } from "../edge/pushes.ts";
import type { StateMessage } from "../edge/shapes.ts";

export interface Adapter extends AsyncDisposable {
  url: string;
}

/** What a message's document holds: `body` is the posted text, the posted JSON, or the posted bytes in base64. */
type Kind = "text" | "json" | "bytes";

interface Stream {
  mediaType: string;
  kind: Kind;
  /** The scope of its project. */
  scope: Scope;
}

/** The streams that there are, by path. */
type Streams = Map<string, Stream>;

/** What a path names that nobody has made a stream of. */
const NOWHERE: Scope = { type: "project", id: nowhere("prj") };

export async function streamAdapter(place: OwnedWorkspace): Promise<Adapter> {
  const streams: Streams = new Map();
  const server = createServer((request, response) => {
    handle(place, streams, request, response).catch((error: Error) => {
      if (!response.headersSent) response.writeHead(502);
      response.end(error.message);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: stop };
}

async function handle(
  place: OwnedWorkspace,
  streams: Streams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://adapter");
  const known = streams.get(url.pathname);
  switch (request.method) {
    case "PUT":
      return create(place, streams, url.pathname, request, response);
    case "POST":
      return append(place, known, request, response);
    case "DELETE":
      streams.delete(url.pathname);
      return remove(place, known, response);
    default:
      return read(place, known, url, request, response);
  }
}

async function create(
  place: OwnedWorkspace,
  streams: Streams,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const mediaType = request.headers["content-type"] ?? "application/octet-stream";
  const known = streams.get(path);
  const body = await bodyOf(request);
  if (known) {
    const isSame = known.mediaType.toLowerCase() === mediaType.toLowerCase();
    return reply(response, isSame ? 200 : 409, place, known.scope, { "content-type": mediaType });
  }
  const values = valuesOf(kindOf(mediaType), body);
  if (!values) return reply(response, 400, place, NOWHERE, {});
  const { id } = await project(place);
  const scope = { type: "project", id };
  streams.set(path, { mediaType, kind: kindOf(mediaType), scope });
  if (values.length > 0) await write(place, scope, values);
  const location = `http://${request.headers.host}${request.url}`;
  return reply(response, 201, place, scope, { "content-type": mediaType, location });
}

async function append(
  place: OwnedWorkspace,
  stream: Stream | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await bodyOf(request);
  const mediaType = request.headers["content-type"];
  const { kind, scope } = stream ?? { kind: kindOf(mediaType ?? ""), scope: NOWHERE };
  if (!mediaType) return reply(response, 400, place, scope, {});
  if (kindOf(mediaType) !== kind) return reply(response, 409, place, scope, {});
  const values = valuesOf(kind, body);
  if (!values || values.length === 0) return reply(response, 400, place, scope, {});
  return reply(response, await write(place, scope, values), place, scope, {});
}

/** The status that a stream's append is answered with: a refused call's own, 404 where drey knows no such scope. */
async function write(place: OwnedWorkspace, scope: Scope, values: unknown[]): Promise<number> {
  const from = device(place.owner, place);
  const answer = await push(
    from,
    values.map((body) => mutation(from, scope, { value: { body } })),
  );
  if (answer.status !== 200) return answer.status;
  if (answer.body.results.every(({ code }) => code === "unknown-scope")) return 404;
  if (answer.body.results.every(({ outcome }) => outcome === "applied")) return 204;
  throw new Error(`the push was answered ${answer.text}`);
}

async function remove(
  place: OwnedWorkspace,
  stream: Stream | undefined,
  response: ServerResponse,
): Promise<void> {
  const { id } = stream?.scope ?? NOWHERE;
  const answer = await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/projects/${id}`);
  response.writeHead(answer.status, passed(answer.headers)).end();
}

function kindOf(mediaType: string): Kind {
  const type = mediaType.toLowerCase();
  if (type.startsWith("application/json")) return "json";
  return type.startsWith("text/") ? "text" : "bytes";
}

/** The messages of a body; undefined if it is none. An array is flattened by one level. */
function valuesOf(kind: Kind, body: Buffer): unknown[] | undefined {
  if (body.length === 0) return [];
  if (kind === "text") return [body.toString()];
  if (kind === "bytes") return [body.toString("base64")];
  try {
    const value: unknown = JSON.parse(body.toString());
    return Array.isArray(value) ? value : [value];
  } catch {
    return undefined;
  }
}

/** The answer to a write, with the tail and the headers that drey has on every answer. */
async function reply(
  response: ServerResponse,
  status: number,
  place: OwnedWorkspace,
  scope: Scope,
  headers: Record<string, string>,
): Promise<void> {
  const tail = await fetch(`${pathOf(place, scope)}?offset=now`, { method: "HEAD", headers: bearer(place) });
  const { "content-type": _type, "content-length": _length, ...rest } = passed(tail.headers);
  response.writeHead(status, { ...rest, ...headers }).end();
}

function pathOf(place: OwnedWorkspace, scope: Scope): string {
  return `${place.owner.api}/v1/workspaces/${place.id}/sync/${scope.type}/${scope.id}`;
}

function bearer(place: OwnedWorkspace): Record<string, string> {
  return { authorization: `Bearer ${place.owner.token}` };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of request) parts.push(part as Uint8Array);
  return Buffer.concat(parts);
}

const OWN = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "host",
  "keep-alive",
  "transfer-encoding",
]);

function passed(headers: Headers): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => !OWN.has(name)));
}

async function read(
  place: OwnedWorkspace,
  stream: Stream | undefined,
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const headers = { ...(request.headers as Record<string, string>), ...bearer(place) };
  for (const name of OWN) delete headers[name];
  const target = `${pathOf(place, stream?.scope ?? NOWHERE)}${url.search}`;
  const method = request.method ?? "GET";
  const answer = await fetch(target, { method, headers, signal: gone.signal, redirect: "manual" });
  const own = passed(answer.headers);
  if (!stream || answer.status !== 200) {
    response.writeHead(answer.status, own);
    response.end(Buffer.from(await answer.arrayBuffer()));
    return;
  }
  if (own["content-type"] === "text/event-stream") {
    if (stream.kind === "bytes") own["stream-sse-data-encoding"] = "base64";
    response.writeHead(200, own);
    for await (const event of eventsOf(answer)) response.write(unwrapEvent(stream.kind, event));
    response.end();
    return;
  }
  response.writeHead(200, { ...own, "content-type": stream.mediaType });
  const text = await answer.text();
  response.end(text === "" ? "" : unwrap(stream.kind, JSON.parse(text) as StateMessage[]));
}

/** What was posted. */
function unwrap(kind: Kind, messages: StateMessage[]): string | Buffer {
  const bodies = messages.map(({ value }) => (value as { body: unknown }).body);
  if (kind === "json") return JSON.stringify(bodies);
  if (kind === "text") return bodies.join("");
  return Buffer.concat(bodies.map((body) => Buffer.from(String(body), "base64")));
}

async function* eventsOf(answer: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of answer.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const events = text.split("\n\n");
    text = events.pop() ?? "";
    yield* events.map((event) => `${event}\n\n`);
  }
}

/** A `data` event with what was posted; every other one as it is. */
function unwrapEvent(kind: Kind, event: string): string {
  if (!event.startsWith("event: data\n")) return event;
  const lines = event.split("\n").filter((line) => line.startsWith("data:"));
  const json = lines.map((line) => line.slice(5)).join("\n");
  const body = unwrap(kind, JSON.parse(json) as StateMessage[]);
  const text = kind === "bytes" ? (body as Buffer).toString("base64") : body.toString();
  const data = text.split(/\r\n|\r|\n/).map((line) => `data:${line}\n`);
  return `event: data\n${data.join("")}\n`;
}
