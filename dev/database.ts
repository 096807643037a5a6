/**
 * Databases on the local server: made, migrated, dropped.
 */
import { randomBytes } from "node:crypto";
import pg from "pg";
import { migrate } from "./migrate.ts";
import { ensureAppRole } from "./role.ts";

export interface Database {
  /** As the superuser. */
  url: string;
  /** As the Worker's restricted role. */
  appUrl: string;
}

/** A migrated database `name` on the server of `serverUrl`; an existing one is brought up to date. */
export async function prepareDatabase(serverUrl: string, name: string): Promise<Database> {
  const url = withDatabase(serverUrl, name);
  // The migrations grant to the role, so it comes first.
  const appUrl = withDatabase(await ensureAppRole(serverUrl), name);
  await migrate(url);
  return { url, appUrl };
}

/** A name that no other run uses. */
export function uniqueName(prefix: string): string {
  return `${prefix}_${randomBytes(6).toString("hex")}`;
}

export async function createDatabase(serverUrl: string, name: string, template?: string): Promise<Database> {
  await run(serverUrl, `create database "${name}"${template ? ` template "${template}"` : ""}`);
  return { url: withDatabase(serverUrl, name), appUrl: withDatabase(await ensureAppRole(serverUrl), name) };
}

/** Ends whoever is still connected. */
export async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  await run(serverUrl, `drop database if exists "${name}" with (force)`);
}

export function withDatabase(url: string, name: string): string {
  const parsed = new URL(url);
  parsed.pathname = `/${name}`;
  return parsed.href;
}

async function run(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(statement).finally(() => client.end());
}
