/**
 * The `Neon-Connection-String` header: who connects to which database. Its host only names the endpoint.
 */
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { NeonFailure } from "./failure.ts";

export interface Target {
  user: string;
  password: string;
  database: string;
  /** An endpoint whose first label ends in `-replica` (before `-pooler`) refuses writes, as Neon's read replicas do. */
  replica: boolean;
}

const HEADER = "neon-connection-string";

/** Throws the proxy's own wording. Query parameters of the string are ignored, as over HTTP they are. */
export function parseConnectionString(headers: IncomingHttpHeaders): Target {
  // The proxy reads a present Authorization header as the other way to sign in, and then misses its password.
  if (headers.authorization !== undefined)
    throw refused("missing authentication credentials: required password");
  const header = headers[HEADER];
  if (typeof header !== "string") throw refused(`invalid header: ${HEADER}`);
  const url = parseUrl(header);
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:") throw refused("incorrect scheme");
  const database = decodeURIComponent(url.pathname.split("/")[1] ?? "");
  if (database === "") throw refused("missing database name");
  if (url.username === "") throw refused("missing username");
  if (url.password === "") throw refused("missing authentication credentials: required password");
  const host = hostName(url);
  return {
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database,
    replica: (host.split(".")[0] ?? "").replace(/-pooler$/, "").endsWith("-replica"),
  };
}

/** The endpoint id is the first label of a name, so an address has none. */
function hostName(url: URL): string {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (host === "" || isIP(host) !== 0) throw refused("missing hostname");
  return host;
}

function parseUrl(text: string): URL {
  try {
    return new URL(text);
  } catch (error) {
    throw refused(`invalid connection string: ${(error as Error).message}`);
  }
}

function refused(message: string): NeonFailure {
  return new NeonFailure(400, message);
}
