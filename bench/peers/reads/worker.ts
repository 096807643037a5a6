/**
 * What a user would pick instead of drey: Hono, jose, a Durable Object for the limit, the Cache API, Neon's driver.
 * It answers the same calls on the same database; only what the bench calls is here.
 */
import { Hono } from "hono";
import { requestId } from "hono/request-id";
import { authenticate } from "./authentication.ts";
import type { App } from "./environment.ts";
import { answerProblem, Problem } from "./problems.ts";
import { projects } from "./projects.ts";
import { sync } from "./sync.ts";

export { Feed } from "./feed.ts";
export { Limiter } from "./limiter.ts";

const app = new Hono<App>();

app.use(requestId(), async (c, next) => {
  await next();
  c.res.headers.set("x-content-type-options", "nosniff");
  c.res.headers.set("referrer-policy", "no-referrer");
});
app.get("/healthz", (c) => c.json({ status: "ok" }));

/** One JSON line per request; with `LOG_LEVEL=warn` of failures alone. */
app.use("/v1/*", async (c, next) => {
  const started = Date.now();
  await next();
  if (c.env.LOG_LEVEL === "warn" && c.res.status < 500) return;
  const line = {
    level: "info",
    request_id: c.get("requestId"),
    method: c.req.method,
    path: c.req.path,
    actor: c.get("user"),
    status: c.res.status,
    ms: Date.now() - started,
  };
  console.log(JSON.stringify(line));
});
app.use("/v1/*", authenticate);
app.route("/v1/workspaces/:ws/projects", projects);
app.route("/v1/workspaces/:ws/sync", sync);

app.notFound(() => {
  throw new Problem(404, "not-found", "There is no such route.");
});
app.onError(answerProblem);

export default app;
