import type { Feed } from "./feed.ts";
import type { Limiter } from "./limiter.ts";

/** Bindings and variables. */
export interface Env {
  LIMITER: DurableObjectNamespace<Limiter>;
  FEED: DurableObjectNamespace<Feed>;
  ISSUER: string;
  AUDIENCE: string;
  JWKS_URI: string;
  NEON_CONNECTION_STRING: string;
  NEON_HTTP_URL: string;
  /** Calls per minute and caller; as many may come at once. */
  READS_PER_MINUTE: string;
  WRITES_PER_MINUTE: string;
  /** `true`: a Map in front of the Cache API. */
  MEMORY_CACHE: string;
  /** `info` or `warn`, as drey's. */
  LOG_LEVEL: string;
  /** `true`: Postgres builds the JSON of a catch-up, and it is passed on. */
  JSON_IN_SQL: string;
  /** `true`: pages of a log that are full, and so never change, are kept in the Cache API. */
  CACHE_PAGES: string;
  /** How long a live reader waits. */
  LONG_POLL_MS: string;
}

export interface App {
  Bindings: Env;
  Variables: { requestId: string; user: string; workspace: string; version: number };
}
