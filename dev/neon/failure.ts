/**
 * What went wrong, in the shape Neon's proxy answers: a status and one JSON object whose keys are always all there.
 */
import pg from "pg";

/** Absent values are null, except `code` and `severity`, which the proxy leaves empty when Postgres gave none. */
export interface FailureBody {
  message: string;
  code: string;
  severity: string;
  [field: string]: string | null;
}

const FIELDS = [
  "detail",
  "hint",
  "position",
  "internalPosition",
  "internalQuery",
  "where",
  "table",
  "column",
  "schema",
  "dataType",
  "constraint",
  "file",
  "line",
  "routine",
] as const;

/** SQLSTATEs with which Postgres refuses the connection itself; the proxy reports them as its own trouble (500). */
const REFUSED_CONNECTION = new Set(["53300", "57P03"]);

export class NeonFailure extends Error {
  readonly status: number;
  readonly body: FailureBody;

  constructor(status: number, message: string, fields: Partial<FailureBody> = {}) {
    super(message);
    this.status = status;
    const absent = Object.fromEntries(FIELDS.map((field) => [field, null]));
    this.body = { ...absent, message, code: "", severity: "", ...fields };
  }
}

export function failureOf(error: unknown): NeonFailure {
  if (error instanceof NeonFailure) return error;
  if (error instanceof pg.DatabaseError) return fromPostgres(error);
  // Everything else is a connection that ended under us; the proxy says so with a 400 and an empty code.
  return new NeonFailure(400, "error communicating with the server: connection closed");
}

function fromPostgres(error: pg.DatabaseError): NeonFailure {
  const code = error.code ?? "";
  // A wrong password is told without its SQLSTATE.
  if (code === "28P01") return new NeonFailure(400, error.message);
  const fields = Object.fromEntries(FIELDS.map((field) => [field, error[field] ?? null]));
  const status = REFUSED_CONNECTION.has(code) ? 500 : 400;
  return new NeonFailure(status, error.message, { ...fields, code, severity: error.severity ?? "" });
}
