/** One hop per request to the workspace's limiter. */
import type { MiddlewareHandler } from "hono";
import type { App } from "./environment.ts";
import type { Tier } from "./limiter.ts";
import { Problem } from "./problems.ts";
import { toUuid } from "./typeid.ts";

export function limit(tier: Tier): MiddlewareHandler<App> {
  return async (c, next) => {
    const workspace = toUuid("ws", c.req.param("ws") ?? "");
    if (!workspace) throw new Problem(404, "not-found", "There is no such workspace.");
    const verdict = await c.env.LIMITER.getByName(workspace).check(c.get("user"), tier);
    const headers = {
      "ratelimit-policy": `"${tier}";q=${verdict.limit};w=60`,
      ratelimit: `"${tier}";r=${verdict.remaining};t=${verdict.reset}`,
    };
    if (!verdict.allowed) {
      const retry = { ...headers, "retry-after": String(verdict.reset) };
      throw new Problem(429, "rate-limited", `Too many requests. Retry after ${verdict.reset} s.`, retry);
    }
    c.set("workspace", workspace);
    c.set("version", verdict.version);
    await next();
    for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
  };
}
