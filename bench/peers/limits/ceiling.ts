/**
 * What drey's answer costs when nothing is decided: the same headers, a body of the same length, one log line, and no
 * credential, limit, role or cache behind them. The best that a limiter which answers like drey could reach in a Worker.
 */
const BODY = JSON.stringify({
  id: "ws_01k30dw4hmfay8vvr14d2pf2db",
  org_id: "org_01k30dw4hmfay8vvr14d2pf2db",
  name: "Analytical Engines",
  slug: "analytical-engines",
  role: "owner",
  version: 1,
  created_at: "2026-11-20T12:00:00.000Z",
  updated_at: "2026-11-20T12:00:00.000Z",
});

const CONSTANT: [string, string][] = [
  ["content-type", "application/json"],
  ["etag", '"1"'],
  ["cache-control", "private, no-cache"],
  ["vary", "Authorization, x-api-key"],
  ["x-drey-revision", "1"],
  ["x-actor-id", "user_01k30dw4hmfay8vvr14d2pf2db"],
  ["ratelimit-policy", '"relaxed";q=1000000;w=60'],
  ["cache-status", "drey; hit; detail=memory"],
  ["x-cache", "HIT"],
  ["x-content-type-options", "nosniff"],
  ["referrer-policy", "no-referrer"],
  ["cross-origin-resource-policy", "same-origin"],
];

interface Env {
  /** `info` or `warn`, as drey's. */
  LOG_LEVEL: string;
}

export default {
  fetch(request: Request, env: Env): Response {
    const id = crypto.randomUUID();
    const headers = new Headers(CONSTANT);
    headers.set("x-request-id", id);
    headers.set("x-correlation-id", id);
    headers.set("traceparent", `00-${id.replaceAll("-", "")}-${id.slice(0, 8)}${id.slice(9, 13)}0001-01`);
    headers.set("ratelimit", `"relaxed";r=${id.charCodeAt(0)};t=1`);
    for (const family of ["x-ratelimit", "x-rate-limit"]) {
      headers.set(`${family}-limit`, "1000000");
      headers.set(`${family}-remaining`, "999999");
      headers.set(`${family}-reset`, "1");
    }
    headers.set("server-timing", 'total;dur=0, db;dur=0.0;desc="0", gate;desc="0"');
    if (env.LOG_LEVEL !== "warn")
      console.log(
        JSON.stringify({ level: "info", id, method: request.method, url: request.url, status: 200 }),
      );
    return new Response(BODY, { headers });
  },
};
