/** Hono and nothing else. */
import { Hono } from "hono";

export default new Hono().get("/healthz", (c) => c.json({ status: "ok" }));
