/** Errors as RFC 9457 problems. */
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { App } from "./environment.ts";

export class Problem extends HTTPException {
  readonly code: string;
  readonly headers: Record<string, string>;

  constructor(
    status: ContentfulStatusCode,
    code: string,
    detail: string,
    headers: Record<string, string> = {},
  ) {
    super(status, { message: detail });
    this.code = code;
    this.headers = headers;
  }
}

export function answerProblem(error: Error, c: Context<App>): Response {
  const problem =
    error instanceof Problem ? error : new Problem(500, "internal", "Something went wrong on our side.");
  if (problem !== error) console.error(error);
  const body = {
    type: `urn:peer:problem:${problem.code}`,
    title: problem.code,
    status: problem.status,
    detail: problem.message,
    code: problem.code,
    request_id: c.get("requestId"),
  };
  return c.body(JSON.stringify(body), problem.status, {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    ...problem.headers,
  });
}
