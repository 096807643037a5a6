/**
 * Everything the Worker talks to, on loopback: Postgres with the migrated database, the Neon and Redis stand-ins, the
 * token issuer. `npm run dev` and the tests start the same thing.
 */
import { createHmac, randomBytes } from "node:crypto";
import { type Database, dropDatabase, prepareDatabase } from "./database.ts";
import { AUDIENCE, type Issuer, startIssuer } from "./issuer.ts";
import { type Neon, startNeon } from "./neon.ts";
import { startPostgres } from "./postgres.ts";
import { chooseEngine } from "./redis/engine.ts";
import { type Redis, startRedis } from "./redis.ts";

export interface Services {
  /** The server itself, as superuser; for further databases. */
  serverUrl: string;
  database: Database;
  neon: Neon;
  /** What the Worker sends as `Neon-Connection-String`. */
  neonConnection: string;
  redis: Redis;
  redisEngine: string;
  issuer: Issuer;
  /** The Worker's variables that point here. */
  vars: Record<string, string>;
  stop(): Promise<void>;
}

export interface ServicesOptions {
  /** Folder of the cluster. */
  data: string;
  /** Name of the database; a disposable one is dropped at the end. */
  database: string;
  disposable: boolean;
  /** Where the issuer shall listen; any free port when absent. Its address is part of every user's identity. */
  issuerPort?: number;
  /** Called with a line before each slow step. */
  progress?: (step: string) => void;
}

export async function startServices(options: ServicesOptions): Promise<Services> {
  const { data, disposable, progress = () => {} } = options;
  const undo: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    progress("starting PostgreSQL");
    const postgres = await startPostgres({ data, disposable });
    undo.push(() => postgres.stop());
    progress("migrating the database");
    const database = await prepareDatabase(postgres.url, options.database);
    if (disposable) undo.push(() => dropDatabase(postgres.url, options.database));
    progress("starting the stand-ins for Neon and Redis, and the token issuer");
    const neon = await startNeon({ server: serverOf(postgres.url) });
    undo.push(() => neon.close());
    const engine = await chooseEngine();
    const redis = await startRedis({ engine, token: randomBytes(16).toString("hex") });
    undo.push(() => redis.close());
    const issuer = await startIssuer(options.issuerPort);
    undo.push(() => issuer.close());
    const parts = { serverUrl: postgres.url, database, neon, redis, redisEngine: engine.name, issuer, stop };
    const neonConnection = neonConnectionOf(database);
    const vars = { ...varsFor(neon, neonConnection, redis, issuer), ...secretsOf(postgres.url) };
    return { ...parts, neonConnection, vars };
  } catch (error) {
    await stop();
    throw error;
  }
}

function serverOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port || 5432) };
}

/** Neon wants a name as host and reads the endpoint from it; the stand-in leads every name to the local server. */
function neonConnectionOf(database: Database): string {
  const url = new URL(database.appUrl);
  return `postgres://${url.username}:${url.password}@ep-drey.local.localhost${url.pathname}`;
}

/** They follow from the superuser's password, so that invitations and replays outlive the stack as the database does. */
function secretsOf(superuserUrl: string): Record<string, string> {
  const { password } = new URL(superuserUrl);
  const secret = (name: string) => [name, createHmac("sha256", password).update(name).digest("hex")];
  return Object.fromEntries(["INVITATION_SECRET", "API_KEY_SECRET", "OPERATOR_TOKEN"].map(secret));
}

function varsFor(neon: Neon, connection: string, redis: Redis, issuer: Issuer): Record<string, string> {
  const trusted = { issuer: issuer.url, audience: AUDIENCE, jwks_uri: issuer.jwksUri };
  return {
    ENVIRONMENT: "development",
    NEON_CONNECTION_STRING: connection,
    NEON_HTTP_URL: neon.sql,
    UPSTASH_REDIS_REST_URL: redis.url,
    UPSTASH_REDIS_REST_TOKEN: redis.token,
    ISSUERS: JSON.stringify([trusted]),
    SELF_HOSTED: "true",
  };
}
