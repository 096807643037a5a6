/**
 * What the sides share: Postgres, the stand-ins, the token issuer, a real Redis; and people and places in it.
 */
import { spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { uniqueName } from "../dev/database.ts";
import { AUDIENCE } from "../dev/issuer.ts";
import { freePort, LOOPBACK } from "../dev/ports.ts";
import { remember, stopChild, stopForgotten } from "../dev/processes.ts";
import { type Services, startServices } from "../dev/services.ts";
import { toUuid } from "./peers/reads/typeid.ts";

export interface World {
  /** Folder with `wrangler.toml` and `build/`. */
  drey: string;
  services: Services;
  /** Of the real Redis; undefined when this machine has none. */
  redis: string | undefined;
  stop(): Promise<void>;
}

export async function startWorld(drey: string, progress: (step: string) => void): Promise<World> {
  await stopForgotten();
  const undo: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const data = await mkdtemp(join(tmpdir(), "drey-bench-"));
    undo.push(() => rm(data, { recursive: true, force: true }));
    const redis = await startRedis(undo);
    // The stand-in for Upstash takes the Redis that this names; rate-limiter-flexible speaks to the same.
    if (redis) process.env.REDIS_URL = redis;
    const services = await startServices({ data, database: uniqueName("bench"), disposable: true, progress });
    undo.push(() => services.stop());
    return { drey, services, redis, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startRedis(undo: (() => Promise<void>)[]): Promise<string | undefined> {
  if (process.env.REDIS_URL) return process.env.REDIS_URL;
  if (spawnSync("redis-server", ["--version"]).status !== 0) return undefined;
  const port = await freePort();
  const args = ["--port", String(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no", "--dir", "/"];
  const child = spawn("redis-server", args, { stdio: "ignore", detached: true });
  remember(child);
  undo.push(() => stopChild(child, "SIGTERM"));
  return `redis://${LOOPBACK}:${port}`;
}

/** Limits that no workload reaches, unless it is about them. */
export const UNLIMITED = 100_000_000;

/** drey's variables without the second cache, which no peer has. `tier` overrides its limits. */
export function dreyVars({ services }: World, tier: object = {}): Record<string, string> {
  const { UPSTASH_REDIS_REST_URL: _url, UPSTASH_REDIS_REST_TOKEN: _token, ...vars } = services.vars;
  const high = { base: UNLIMITED, burst: UNLIMITED };
  const zones = { anonymous: high, "sign-in": high };
  // No peer counts by the day.
  const daily = { base: UNLIMITED };
  const limits = { strict: high, standard: high, relaxed: high, ...zones, daily, ...tier };
  return { ...vars, LIMITS: JSON.stringify(limits), LOG_FORMAT: "json" };
}

/** What every peer that checks credentials needs. */
export function trust({ services }: World): Record<string, string> {
  return { ISSUER: services.issuer.url, AUDIENCE, JWKS_URI: services.issuer.jwksUri };
}

export interface Person {
  subject: string;
  token: string;
}

export async function person({ services }: World, subject: string = randomUUID()): Promise<Person> {
  const claims = { sub: subject, email: `${subject}@example.test`, name: "A person" };
  const answer = await fetch(`${services.issuer.url}/token`, {
    method: "POST",
    body: JSON.stringify(claims),
  });
  return { subject, token: ((await answer.json()) as { access_token: string }).access_token };
}

/** A caller with a workspace of his own. */
export interface Home extends Person {
  org: string;
  workspace: string;
}

export async function home(world: World, api: string): Promise<Home> {
  const owner = await person(world);
  const org = (await call(api, owner.token, "POST", "/v1/orgs", { name: "Org" })).id;
  const workspace = (await call(api, owner.token, "POST", `/v1/orgs/${org}/workspaces`, { name: "Home" })).id;
  return { ...owner, org, workspace };
}

export function homes(world: World, api: string, count: number): Promise<Home[]> {
  return Promise.all(Array.from({ length: count }, () => home(world, api)));
}

/** Projects with a sentence each: a page of ten is about 3 KB. */
export async function addProjects(api: string, place: Home, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const body = {
      name: `Project ${n}`,
      description: "What this project is about, in a sentence of usual length.",
    };
    ids.push((await call(api, place.token, "POST", `/v1/workspaces/${place.workspace}/projects`, body)).id);
  }
  return ids;
}

/** So many projects at once, made directly as an import would. */
export async function loadProjects(world: World, place: Home, count: number): Promise<void> {
  const client = new pg.Client({ connectionString: world.services.database.url });
  await client.connect();
  await client.query(
    `insert into project (workspace_id, project_id, name, slug, description, created_by, created_at)
     select w.workspace_id, gen_random_uuid(), 'Project ' || n, 'project-' || n,
            'What this project is about, in a sentence of usual length.', u.user_id, now() - n * interval '1 second'
     from generate_series(1, $3) n, workspace w join org o using (org_id) join user_account u on u.user_id = o.created_by
     where u.subject = $1 and w.workspace_id = $2`,
    [place.subject, toUuid("ws", place.workspace), count],
  );
  await client.query("analyze project");
  await client.end();
}

/** So many ask the issuer for a token at a time: its queue of new connections has an end. */
const AT_ONCE = 200;

/** Viewers of a workspace who have never called. Their rows are made directly, as an import would. */
export async function addViewers(world: World, place: Home, count: number): Promise<Person[]> {
  const people: Person[] = [];
  while (people.length < count) {
    const some = Math.min(AT_ONCE, count - people.length);
    people.push(...(await Promise.all(Array.from({ length: some }, () => person(world)))));
  }
  const client = new pg.Client({ connectionString: world.services.database.url });
  await client.connect();
  const owner = "(select user_id from user_account where subject = $2)";
  await client.query(
    `with seen as (
       insert into user_account (user_id, issuer, subject, email, name)
       select gen_random_uuid(), $1, s, s || '@example.test', 'A person' from unnest($3::text[]) s returning user_id
     ), joined as (
       insert into org_member (org_id, user_id, role, org_created_at)
       select o.org_id, seen.user_id, 'member', o.created_at from seen, org o where o.created_by = ${owner} returning org_id, user_id
     )
     insert into workspace_member (workspace_id, user_id, org_id, role, workspace_created_at)
     select w.workspace_id, joined.user_id, w.org_id, 'viewer', w.created_at from joined join workspace w using (org_id)`,
    [world.services.issuer.url, place.subject, people.map(({ subject }) => subject)],
  );
  // As autovacuum would, a minute later.
  await client.query("analyze");
  await client.end();
  return people;
}

/** One call that must succeed. */
export async function call(
  api: string,
  token: string,
  method: string,
  path: string,
  body?: unknown,
  // biome-ignore lint/suspicious/noExplicitAny: the shapes of the API are the tests' business.
): Promise<any> {
  const answer = await fetch(`${api}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
}
