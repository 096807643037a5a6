/** Bearer tokens: verified by jose, then remembered by the isolate until they expire. */
import type { MiddlewareHandler } from "hono";
import { createRemoteJWKSet, type JWTPayload, jwtVerify } from "jose";
import { database } from "./database.ts";
import type { App, Env } from "./environment.ts";
import { Problem } from "./problems.ts";

interface Known {
  user: string;
  expires: number;
}

const MOST_KNOWN = 4096;
const known = new Map<string, Known>();
let keys: ReturnType<typeof createRemoteJWKSet> | undefined;

export const authenticate: MiddlewareHandler<App> = async (c, next) => {
  const header = c.req.header("authorization");
  if (!header?.startsWith("Bearer ")) throw new Problem(401, "unauthenticated", "Send a bearer token.");
  const token = header.slice(7);
  let entry = known.get(token);
  if (!entry || entry.expires <= Date.now()) {
    entry = await verify(c.env, token);
    if (known.size >= MOST_KNOWN) known.delete(known.keys().next().value ?? "");
    known.set(token, entry);
  }
  c.set("user", entry.user);
  await next();
};

async function verify(env: Env, token: string): Promise<Known> {
  keys ??= createRemoteJWKSet(new URL(env.JWKS_URI));
  const { payload } = await jwtVerify(token, keys, { issuer: env.ISSUER, audience: env.AUDIENCE }).catch(
    (error: Error) => {
      throw new Problem(401, "invalid-token", error.message, { "www-authenticate": "Bearer" });
    },
  );
  return { user: await userOf(env, payload), expires: (payload.exp ?? 0) * 1000 };
}

/** A person is created the first time he is seen. */
async function userOf(env: Env, { iss, sub, email, name }: JWTPayload): Promise<string> {
  const sql = database(env);
  const [row] =
    await sql`select user_seen(${iss}, ${sub}, ${email ?? null}, ${name ?? null}, ${crypto.randomUUID()}) as id`;
  return String(row?.id);
}
