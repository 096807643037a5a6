/**
 * The body and the `Neon-*` headers of a request to `/sql`, checked as the proxy checks them.
 */
import type { IncomingHttpHeaders } from "node:http";
import { NeonFailure } from "./failure.ts";
import { toText } from "./values.ts";

export interface Statement {
  text: string;
  /** Parameters as Postgres gets them: text or NULL. */
  values: (string | null)[];
  arrayMode: boolean;
}

export interface Call {
  statements: Statement[];
  rawText: boolean;
  /** Undefined for a single statement, which runs without a transaction of its own. */
  begin: string | undefined;
  /** The batch headers, which the proxy repeats in its answer. */
  echo: Record<string, string>;
}

const ISOLATION: Record<string, string> = {
  ReadUncommitted: "READ UNCOMMITTED",
  ReadCommitted: "READ COMMITTED",
  RepeatableRead: "REPEATABLE READ",
  Serializable: "SERIALIZABLE",
};

const BATCH_HEADERS = [
  "neon-batch-isolation-level",
  "neon-batch-read-only",
  "neon-batch-deferrable",
] as const;

export function parseRequest(headers: IncomingHttpHeaders, body: string): Call {
  const arrayMode = isTrue(headers["neon-array-mode"]);
  const rawText = isTrue(headers["neon-raw-text-output"]);
  const payload = parseJson(body);
  if (isStatement(payload)) {
    return { statements: [statement(payload, arrayMode)], rawText, begin: undefined, echo: {} };
  }
  if (!isBatch(payload)) throw notUnderstood("data did not match any variant of untagged enum Payload");
  const statements = payload.queries.map((query) => statement(query, arrayMode));
  return { statements, rawText, begin: beginOf(headers), echo: echoOf(headers) };
}

interface StatementPayload {
  query: string;
  params?: unknown[];
  arrayMode?: boolean | null;
}

function isStatement(value: unknown): value is StatementPayload {
  const { query, params, arrayMode } = (value ?? {}) as Record<string, unknown>;
  if (typeof query !== "string") return false;
  return (
    (params === undefined || Array.isArray(params)) && (arrayMode == null || typeof arrayMode === "boolean")
  );
}

function isBatch(value: unknown): value is { queries: StatementPayload[] } {
  const { queries } = (value ?? {}) as Record<string, unknown>;
  return Array.isArray(queries) && queries.every(isStatement);
}

function statement(payload: StatementPayload, arrayMode: boolean): Statement {
  const values = (payload.params ?? []).map(toText);
  return { text: payload.query, values, arrayMode: payload.arrayMode ?? arrayMode };
}

function beginOf(headers: IncomingHttpHeaders): string {
  const level = headers["neon-batch-isolation-level"];
  const isolation = level === undefined ? undefined : ISOLATION[String(level)];
  if (level !== undefined && isolation === undefined) throw new NeonFailure(400, "invalid isolation level");
  const modes = [
    isolation && `ISOLATION LEVEL ${isolation}`,
    isTrue(headers["neon-batch-read-only"]) && "READ ONLY",
    isTrue(headers["neon-batch-deferrable"]) && "DEFERRABLE",
  ].filter((mode) => typeof mode === "string");
  return `START TRANSACTION ${modes.join(", ")}`;
}

function echoOf(headers: IncomingHttpHeaders): Record<string, string> {
  const sent = BATCH_HEADERS.flatMap((name) =>
    headers[name] === undefined ? [] : [[name, String(headers[name])]],
  );
  return Object.fromEntries(sent);
}

/** The proxy compares with the literal `true`: any other value is false. */
function isTrue(header: string | string[] | undefined): boolean {
  return header === "true";
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw notUnderstood((error as Error).message);
  }
}

function notUnderstood(reason: string): NeonFailure {
  return new NeonFailure(400, `could not parse the HTTP request body: ${reason}`);
}
