/**
 * The restricted role that the Worker signs in as: no superuser, no BYPASSRLS, no right to create anything.
 * The migrations grant it what it needs; here it only gets its login and its password.
 */
import { createHmac } from "node:crypto";
import pg from "pg";

export const APP_ROLE = "drey_app";

/** Creates or corrects the role and returns its connection string, same server and database as `superuserUrl`. */
export async function ensureAppRole(superuserUrl: string): Promise<string> {
  const url = new URL(superuserUrl);
  const password = appPassword(url.password);
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect();
  try {
    // Two stacks may share one server, and roles belong to the whole server: the lock makes the second one wait.
    await client.query("begin");
    await client.query("select pg_advisory_xact_lock(hashtext('drey_app role'))");
    const { rowCount } = await client.query("select from pg_roles where rolname = $1", [APP_ROLE]);
    const attributes = "login nosuperuser nocreatedb nocreaterole noreplication nobypassrls";
    await client.query(
      `${rowCount ? "alter" : "create"} role ${APP_ROLE} ${attributes} password '${password}'`,
    );
    await client.query("commit");
  } finally {
    await client.end();
  }
  url.username = APP_ROLE;
  url.password = password;
  return url.href;
}

/** Follows from the superuser's, so that every stack on one server agrees and nothing has to be stored. */
function appPassword(superuserPassword: string): string {
  return createHmac("sha256", superuserPassword).update(APP_ROLE).digest("hex");
}
