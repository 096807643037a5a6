/** What a caller above his rate is told, in every family of headers. */
import { expect } from "vitest";
import { type Answer, expectProblem } from "./actors.ts";

/** Checks a refusal of one policy whole. */
export function expectRateLimited(
  answer: Answer<unknown>,
  policy: string,
  limit: number,
  windowS: number,
): void {
  const problem = expectProblem(answer, 429, "rate-limited");
  expect(problem).toMatchObject({ "violated-policies": [policy] });
  const wait = Number(answer.headers.get("retry-after"));
  expect(problem.retry_after).toBe(wait);
  expect(wait).toBeGreaterThan(0);
  expect(limitHeaders(answer)).toEqual({
    "ratelimit-policy": `"${policy}";q=${limit};w=${windowS}`,
    ratelimit: `"${policy}";r=0;t=${wait}`,
    "x-ratelimit-limit": String(limit),
    "x-ratelimit-remaining": "0",
    "x-ratelimit-reset": String(wait),
    "x-rate-limit-limit": String(limit),
    "x-rate-limit-remaining": "0",
    "x-rate-limit-reset": String(wait),
  });
}

/** Where an answer says how its caller stands. */
export function limitHeaders(answer: Answer<unknown>): Record<string, string> {
  const entries = [...answer.headers].filter(([name]) => /^(ratelimit|x-rate-?limit)/.test(name));
  return Object.fromEntries(entries);
}
