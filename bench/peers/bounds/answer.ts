/**
 * What drey's answer costs when nothing is decided: the same headers and a body of the same length, with no credential,
 * limit, role or cache behind them. The best that any Worker which answers like drey could reach.
 */
import { dress, logged } from "./headers.ts";

interface Sample {
  status: number;
  headers: [string, string][];
  body: object;
}

const LIMITED = "Too many requests";
const SAMPLES: Record<string, Sample> = {
  hello: {
    status: 200,
    headers: [
      ["content-type", "application/json"],
      ["cache-control", "no-store"],
      ["x-cache", "MISS"],
    ],
    body: { status: "ok" },
  },
  read: {
    status: 200,
    headers: [
      ["content-type", "application/json"],
      ["etag", '"1"'],
      ["cache-control", "private, no-cache"],
      ["vary", "Authorization, x-api-key"],
      ["x-drey-revision", "1"],
      ["cache-status", "drey; hit; detail=memory"],
      ["x-cache", "HIT"],
    ],
    body: {
      id: "ws_01k30dw4hmfay8vvr14d2pf2db",
      org_id: "org_01k30dw4hmfay8vvr14d2pf2db",
      name: "Analytical Engines",
      slug: "analytical-engines",
      role: "owner",
      version: 1,
      created_at: "2026-11-20T12:00:00.000Z",
      updated_at: "2026-11-20T12:00:00.000Z",
    },
  },
  limited: {
    status: 429,
    headers: [
      ["content-type", "application/problem+json"],
      ["cache-control", "no-store"],
      ["pragma", "no-cache"],
      ["retry-after", "3600"],
      ["x-cache", "MISS"],
    ],
    body: {
      type: "https://iana.org/assignments/http-problem-types#quota-exceeded",
      title: LIMITED,
      status: 429,
      detail: `${LIMITED}. Retry after 3600 s.`,
      code: "rate-limited",
      request_id: "req_01m7zc9v5jew9960xkr4k3m8cw",
      retry_after: 3600,
      "violated-policies": ["relaxed"],
    },
  },
};

interface Env {
  /** Which of the samples. */
  ANSWER: string;
  /** `info` or `warn`, as drey's. */
  LOG_LEVEL: string;
}

export default {
  fetch(request: Request, env: Env): Response {
    const sample = SAMPLES[env.ANSWER];
    if (!sample) return new Response(null, { status: 500 });
    const answer = new Response(JSON.stringify(sample.body), { status: sample.status });
    const id = dress(answer, sample.headers, env.ANSWER !== "hello");
    if (env.LOG_LEVEL !== "warn") logged(request, answer, id);
    return answer;
  },
};
