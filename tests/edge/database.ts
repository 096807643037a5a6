/**
 * The database behind the Worker, as superuser: for what only it can show or arrange.
 *
 * In scope: one statement, a row held locked, TypeIDs as uuids. Out of scope: what the statements mean.
 */
import pg from "pg";
import { world } from "./world.ts";

/** The rows of one statement, on a connection of its own. */
export async function sql<Row extends pg.QueryResultRow>(
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: world().databaseUrl });
  await client.connect();
  return (await client.query<Row>(text, values).finally(() => client.end())).rows;
}

/** Removes a member as the API does, revision and epoch included, but tells no gate and no room. */
export async function removeUntold(place: { id: string }, user: { id: string }): Promise<void> {
  const text = `with gone as (delete from workspace_member where workspace_id = $1 and user_id = $2)
    update workspace set revision = revision + 1, authz_epoch = authz_epoch + 1 where workspace_id = $1`;
  await sql(text, [uuidOf(place.id), uuidOf(user.id)]);
}

/** Revokes an API key as the API does, but tells no gate and no room. */
export async function revokeUntold(place: { id: string }, key: { id: string }): Promise<void> {
  const text = `with gone as (delete from api_key where workspace_id = $1 and key_id = $2)
    update workspace set revision = revision + 1, authz_epoch = authz_epoch + 1 where workspace_id = $1`;
  await sql(text, [uuidOf(place.id), uuidOf(key.id)]);
}

/** Holds the row of a workspace locked, so that whoever wants to write waits; `release` lets go. */
export function holdWorkspace(id: string): Promise<Held> {
  return holding("select from workspace where workspace_id = $1 for update", [uuidOf(id)]);
}

/** A transaction that has not ended. */
export interface Held {
  /** How many wait for it. */
  waiting(): Promise<number>;
  commit(): Promise<void>;
  /** Takes back what it did. */
  release(): Promise<void>;
}

/** Runs one statement in a transaction that stays open, with the locks it took. */
export async function holding(text: string, values: unknown[]): Promise<Held> {
  const client = new pg.Client({ connectionString: world().databaseUrl });
  await client.connect();
  await client.query("begin");
  await client.query(text, values);
  const waiting = async () => {
    const blocked =
      "select count(*)::int as n from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))";
    return Number((await client.query(blocked)).rows[0]?.n);
  };
  const end = async (how: "commit" | "rollback") => {
    await client.query(how);
    await client.end();
  };
  return { waiting, commit: () => end("commit"), release: () => end("rollback") };
}

/** The uuid that a TypeID writes in base32. */
export function uuidOf(typeId: string): string {
  const digits = typeId.slice(typeId.indexOf("_") + 1);
  let number = 0n;
  for (const digit of digits) number = number * 32n + BigInt(BASE32.indexOf(digit));
  const hex = number.toString(16).padStart(32, "0");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

const BASE32 = "0123456789abcdefghjkmnpqrstvwxyz";
