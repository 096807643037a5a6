/**
 * The Durable Object limiter that most would write: one remote call per request, GCRA in memory, no framework in the way.
 * `TRANSPORT` picks JavaScript RPC or `stub.fetch`. The credential is checked once per isolate, as everywhere else.
 */
import { DurableObject } from "cloudflare:workers";
import { createRemoteJWKSet, jwtVerify } from "jose";

interface Env {
  LIMITER: DurableObjectNamespace<Limiter>;
  TRANSPORT: "rpc" | "fetch";
  ISSUER: string;
  AUDIENCE: string;
  JWKS_URI: string;
  LIMIT: string;
  WINDOW_MS: string;
}

interface Verdict {
  allowed: boolean;
  remaining: number;
  reset: number;
}

export class Limiter extends DurableObject<Env> {
  readonly #arrivals = new Map<string, number>();

  check(key: string): Verdict {
    const [limit, window] = [Number(this.env.LIMIT), Number(this.env.WINDOW_MS)];
    const interval = window / limit;
    const now = Date.now();
    const arrival = Math.max(this.#arrivals.get(key) ?? now, now) + interval;
    const early = arrival - window - now;
    if (early > 0) return { allowed: false, remaining: 0, reset: Math.ceil(early / 1000) };
    this.#arrivals.set(key, arrival);
    return {
      allowed: true,
      remaining: Math.floor(-early / interval),
      reset: Math.ceil((arrival - now) / 1000),
    };
  }

  fetch(request: Request): Response {
    return Response.json(this.check(new URL(request.url).searchParams.get("key") ?? ""));
  }
}

const known = new Map<string, { subject: string; expires: number }>();
let keys: ReturnType<typeof createRemoteJWKSet> | undefined;

async function subjectOf(token: string, env: Env): Promise<string | undefined> {
  const entry = known.get(token);
  if (entry && entry.expires > Date.now()) return entry.subject;
  keys ??= createRemoteJWKSet(new URL(env.JWKS_URI));
  try {
    const { payload } = await jwtVerify(token, keys, { issuer: env.ISSUER, audience: env.AUDIENCE });
    known.set(token, { subject: payload.sub ?? "", expires: (payload.exp ?? 0) * 1000 });
    return payload.sub ?? "";
  } catch {
    return undefined;
  }
}

async function ask(env: Env, tenant: string, key: string): Promise<Verdict> {
  const stub = env.LIMITER.getByName(tenant);
  if (env.TRANSPORT === "rpc") return stub.check(key);
  return (await stub.fetch(`https://limiter/?key=${encodeURIComponent(key)}`)).json() as Promise<Verdict>;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const subject = await subjectOf((request.headers.get("authorization") ?? "").slice(7), env);
    if (subject === undefined) return Response.json({ code: "unauthenticated" }, { status: 401 });
    const tenant = new URL(request.url).pathname.split("/")[3] ?? "";
    const { allowed, remaining, reset } = await ask(env, tenant, subject);
    const headers: Record<string, string> = {
      "ratelimit-policy": `"relaxed";q=${env.LIMIT};w=${Number(env.WINDOW_MS) / 1000}`,
      ratelimit: `"relaxed";r=${remaining};t=${reset}`,
    };
    if (allowed) return Response.json({ allowed }, { headers });
    headers["retry-after"] = String(reset);
    return Response.json({ code: "rate-limited" }, { status: 429, headers });
  },
};
