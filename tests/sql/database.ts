/**
 * The migrated database as the Worker sees it: one transaction a call, that begins with the caller's settings.
 * Values come back as Postgres' own text, as they do over Neon's HTTP.
 */
import { randomUUID } from "node:crypto";
import pg from "pg";
import { world } from "../edge/world.ts";

/** Whom row-level security sees; absent is ''. */
export interface Caller {
  user?: string;
  org?: string;
  workspace?: string;
  /** The API key that acts as the user, and the project it is restricted to. */
  key?: string;
  project?: string;
}

export type Row = Record<string, string | null>;

const raw = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;

export class Database {
  readonly #pool: pg.Pool;

  constructor(url: string) {
    this.#pool = new pg.Pool({ connectionString: url, max: 60, types: raw });
  }

  /** Runs one statement as this caller, in a transaction of its own. */
  as(caller: Caller, sql: string, params: (string | null)[] = []): Promise<Row[]> {
    return this.#within(caller, async (client) => (await client.query(sql, params)).rows as Row[]);
  }

  /** Runs statements as this caller, one after the other in one transaction: their rows. */
  together(caller: Caller, statements: string[]): Promise<Row[][]> {
    return this.#within(caller, async (client) => {
      const answers: Row[][] = [];
      for (const sql of statements) answers.push((await client.query(sql)).rows as Row[]);
      return answers;
    });
  }

  async #within<T>(caller: Caller, act: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    try {
      await client.query("begin");
      await client.query(
        "select set_config('app.user_id', $1, true), set_config('app.org_id', $2, true), " +
          "set_config('app.workspace_id', $3, true), set_config('timezone', 'UTC', true), " +
          "set_config('app.key_id', $4, true), set_config('app.project_id', $5, true)",
        // A tenant of the tests names a project of his own, which restricts nobody but a key.
        [
          caller.user ?? "",
          caller.org ?? "",
          caller.workspace ?? "",
          caller.key ?? "",
          (caller.key && caller.project) ?? "",
        ],
      );
      const done = await act(client);
      await client.query("commit");
      return done;
    } catch (error) {
      await client.query("rollback");
      throw error;
    } finally {
      client.release();
    }
  }

  /** The same, for a statement that answers one row. */
  async one(caller: Caller, sql: string, params: (string | null)[] = []): Promise<Row> {
    const [row] = await this.as(caller, sql, params);
    if (!row) throw new Error(`no row: ${sql}`);
    return row;
  }

  /** Runs a statement without any settings. */
  async bare(sql: string, params: (string | null)[] = []): Promise<Row[]> {
    return (await this.#pool.query(sql, params)).rows as Row[];
  }

  end(): Promise<void> {
    return this.#pool.end();
  }
}

/** As the Worker's restricted role. */
export const app = () => new Database(world().appDatabaseUrl);
/** As the superuser. */
export const admin = () => new Database(world().databaseUrl);

/** What a refused call was refused with, `class code`; anything else is thrown on. */
export async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    const { code, constraint } = error as pg.DatabaseError;
    if (code?.startsWith("DR")) return `${code} ${constraint}`;
    throw error;
  }
  return "allowed";
}

export const uuid = () => randomUUID();
export const request = "req_test";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** The TypeID text of a UUID. */
export function typeId(prefix: string, id: string): string {
  let value = BigInt(`0x${id.replaceAll("-", "")}`);
  let text = "";
  for (let digit = 0; digit < 26; digit += 1) {
    text = ALPHABET.charAt(Number(value % 32n)) + text;
    value /= 32n;
  }
  return `${prefix}_${text}`;
}
