/** `@upstash/ratelimit` as its README shows it, in a Worker: one REST call to Redis per decision. */
import { Ratelimit } from "@upstash/ratelimit";
import { Redis } from "@upstash/redis/cloudflare";

interface Env {
  UPSTASH_REDIS_REST_URL: string;
  UPSTASH_REDIS_REST_TOKEN: string;
  LIMIT: string;
  WINDOW_MS: string;
}

const cache = new Map<string, number>();
let limiter: Ratelimit | undefined;

function limiterOf(env: Env): Ratelimit {
  limiter ??= new Ratelimit({
    redis: new Redis({
      url: env.UPSTASH_REDIS_REST_URL,
      token: env.UPSTASH_REDIS_REST_TOKEN,
      enableTelemetry: false,
    }),
    limiter: Ratelimit.slidingWindow(Number(env.LIMIT), `${Number(env.WINDOW_MS)} ms`),
    ephemeralCache: cache,
    // Its default of 5 s lets calls through when Redis is slow.
    timeout: 60_000,
  });
  return limiter;
}

export default {
  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    const { success, remaining, reset, pending } = await limiterOf(env).limit(
      request.headers.get("authorization") ?? "",
    );
    context.waitUntil(pending);
    const seconds = Math.max(1, Math.ceil((reset - Date.now()) / 1000));
    const headers: Record<string, string> = {
      "ratelimit-policy": `"relaxed";q=${env.LIMIT};w=${Number(env.WINDOW_MS) / 1000}`,
      ratelimit: `"relaxed";r=${remaining};t=${seconds}`,
    };
    if (success) return Response.json({ allowed: true }, { headers });
    headers["retry-after"] = String(seconds);
    return Response.json({ code: "rate-limited" }, { status: 429, headers });
  },
};
