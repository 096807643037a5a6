/**
 * What can go wrong on the way to drey, sorted by what to do next.
 */
import type { Problem } from "../api/types.ts";

/** An error of this client: `code` is a stable name. */
export class DreyError extends Error {
  override readonly name: string = "DreyError";
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** Nothing came back: whether the request had an effect is not known. */
export class NetworkError extends DreyError {
  override readonly name = "NetworkError";
  readonly retryAfterMs = 0;

  constructor(cause: unknown) {
    super("network", `no answer: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
}

/** drey has refused. `code` is the problem's, or `http-502` and the like from whoever stands between. */
export class ApiError extends DreyError {
  override readonly name = "ApiError";
  readonly status: number;
  /** The whole problem, with members such as `expected_id`; empty if it was not drey who answered. */
  readonly problem: Partial<Problem> & Record<string, unknown>;
  /** For how long drey wants to be left alone, in milliseconds. */
  readonly retryAfterMs: number;

  constructor(status: number, problem: Partial<Problem>, retryAfterMs: number) {
    super(problem.code ?? `http-${status}`, problem.detail ?? `the server answered ${status}`);
    this.status = status;
    this.problem = problem as Partial<Problem> & Record<string, unknown>;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The error that an answer is. A date of `Retry-After` is so far from the answer's own; from `now` if it has none. */
export function errorOf(status: number, headers: Headers, text: string, now: number): ApiError {
  const problem = parsed(text);
  const sent = Date.parse(headers.get("date") ?? "") || now;
  return new ApiError(status, problem, retryAfterMs(headers.get("retry-after"), problem.retry_after, sent));
}

function parsed(text: string): Partial<Problem> {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

function retryAfterMs(header: string | null, seconds: number | undefined, now: number): number {
  const given = header ?? String(seconds ?? 0);
  const ms = /^\d+$/.test(given) ? Number(given) * 1_000 : Date.parse(given) - now;
  return Number.isFinite(ms) && ms > 0 ? ms : 0;
}

/** Whether the same request may succeed later, without anybody's doing. */
export function isTransient(error: unknown): error is NetworkError | ApiError {
  if (error instanceof NetworkError) return true;
  if (!(error instanceof ApiError)) return false;
  const { status, code } = error;
  return status >= 500 || [408, 425, 429].includes(status) || code === "idempotency-in-flight";
}

/** Whether the call holds more than somebody on the way lets through: drey, or a proxy with a limit of its own. */
export function isTooLarge(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 413;
}

/** Whether the credential is at fault: another one may pass. */
export function isCredential(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 401;
}

export function hasCode(error: unknown, code: string): error is ApiError {
  return error instanceof ApiError && error.code === code;
}
