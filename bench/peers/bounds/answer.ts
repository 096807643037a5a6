/**
 * What drey's answer costs when nothing is decided: the same headers and a body of the same length, with no credential,
 * limit, role or cache behind them. The best that any Worker which answers like drey could reach.
 */
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

const EVERYWHERE: [string, string][] = [
  ["server-timing", 'total;dur=0, db;dur=0;desc="0", gate;desc="0"'],
  ["x-content-type-options", "nosniff"],
  ["referrer-policy", "no-referrer"],
  ["cross-origin-resource-policy", "same-origin"],
];

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
    const id = crypto.randomUUID();
    const answer = new Response(JSON.stringify(sample.body), { status: sample.status });
    const headers = answer.headers;
    headers.delete("content-type");
    // Headers that are handed over are copied.
    for (const [name, value] of sample.headers) headers.append(name, value);
    for (const [name, value] of EVERYWHERE) headers.append(name, value);
    headers.set("x-request-id", id);
    headers.set("x-correlation-id", id);
    headers.set("traceparent", `00-${id.replaceAll("-", "")}-${id.slice(0, 8)}${id.slice(9, 13)}0001-01`);
    if (env.ANSWER !== "hello") limits(headers, id);
    if (env.LOG_LEVEL !== "warn") {
      const line = { level: "info", id, method: request.method, url: request.url, status: sample.status };
      console.log(JSON.stringify(line));
    }
    return answer;
  },
};

function limits(headers: Headers, id: string): void {
  headers.set("x-actor-id", "user_01k30dw4hmfay8vvr14d2pf2db");
  headers.set("ratelimit-policy", '"relaxed";q=1000000;w=60');
  headers.set("ratelimit", `"relaxed";r=${id.charCodeAt(0)};t=1`);
  for (const family of ["x-ratelimit", "x-rate-limit"]) {
    headers.set(`${family}-limit`, "1000000");
    headers.set(`${family}-remaining`, "999999");
    headers.set(`${family}-reset`, "1");
  }
}
