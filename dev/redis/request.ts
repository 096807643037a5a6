/**
 * Upstash's REST request: one command in the body, one in the path, or a list of commands.
 */

export interface RestCall {
  kind: "single" | "pipeline" | "multi-exec";
  commands: Buffer[][];
}

/** Thrown for a body that is no command; answered with 400. */
export class BadRequest extends Error {}

export function parseCall(url: URL, method: string, body: Buffer): RestCall {
  const path = url.pathname.split("/").filter((part) => part !== "");
  const [first] = path;
  if (path.length === 1 && (first === "pipeline" || first === "multi-exec")) {
    return { kind: first, commands: commandList(body) };
  }
  if (path.length > 0) return { kind: "single", commands: [pathCommand(path, url, method, body)] };
  return { kind: "single", commands: [command(parseJson(body))] };
}

/** `POST /set/foo?EX=100` with a body means `SET foo <body> EX 100`; the token is no argument. */
function pathCommand(path: string[], url: URL, method: string, body: Buffer): Buffer[] {
  const fromPath = path.map((part) => Buffer.from(decodeURIComponent(part)));
  const fromBody = (method === "POST" || method === "PUT") && body.length > 0 ? [body] : [];
  const fromQuery = [...url.searchParams]
    .filter(([name]) => name !== "_token")
    .flatMap(([name, value]) => (value === "" ? [name] : [name, value]))
    .map((part) => Buffer.from(part));
  return [...fromPath, ...fromBody, ...fromQuery];
}

function commandList(body: Buffer): Buffer[][] {
  const list = parseJson(body);
  if (!Array.isArray(list)) throw new BadRequest("ERR failed to parse pipeline request");
  return list.map(command);
}

function command(value: unknown): Buffer[] {
  if (!Array.isArray(value) || value.length === 0) throw new BadRequest("ERR empty command");
  return value.map(argument);
}

/** Numbers, booleans and null may stand where Redis wants text. */
function argument(value: unknown): Buffer {
  if (typeof value === "string") return Buffer.from(value);
  if (typeof value === "object" && value !== null) throw new BadRequest("ERR failed to parse command");
  return Buffer.from(String(value));
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    throw new BadRequest("ERR failed to parse command");
  }
}
