/**
 * Connections to the local Postgres, kept per (user, password, database, endpoint) and cleaned between requests as the
 * proxy cleans them. The password is checked by Postgres itself, once per connection.
 */
import pg from "pg";
import type { Target } from "./connection.ts";

export interface Server {
  host: string;
  port: number;
}

/** How many statements may run at once; Postgres' own max_connections stays above the sum. */
const MAX_CONNECTIONS = 40;

export class Pool {
  readonly #server: Server;
  readonly #pools = new Map<string, pg.Pool>();

  constructor(server: Server) {
    this.#server = server;
  }

  /** Runs `work` on one connection. `gone` cancels whatever it is doing at that moment. */
  async use<T>(target: Target, gone: AbortSignal, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#poolOf(target).connect();
    let cancelling: Promise<void> | undefined;
    const cancel = () => {
      cancelling = this.#cancel(target, client);
    };
    gone.addEventListener("abort", cancel, { once: true });
    try {
      return await work(client);
    } finally {
      gone.removeEventListener("abort", cancel);
      // A late cancel would hit whoever uses this connection next.
      await cancelling;
      await release(client);
    }
  }

  async end(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.end()));
  }

  #poolOf(target: Target): pg.Pool {
    const key = JSON.stringify(target);
    const pool = this.#pools.get(key) ?? new pg.Pool(this.#configOf(target));
    if (!this.#pools.has(key)) listenToErrors(pool);
    this.#pools.set(key, pool);
    return pool;
  }

  #configOf(target: Target): pg.PoolConfig {
    const { user, password, database, replica } = target;
    const options = replica ? "-c default_transaction_read_only=on" : undefined;
    const limits = { max: MAX_CONNECTIONS, idleTimeoutMillis: 10_000, allowExitOnIdle: true };
    return { ...this.#server, ...limits, user, password, database, ...(options && { options }) };
  }

  /** Asks Postgres to stop what `client` runs. Nobody waits for the answer any more, so a failure changes nothing. */
  async #cancel(target: Target, client: pg.PoolClient): Promise<void> {
    const { processID } = client as unknown as { processID: number };
    const other = new pg.Client(this.#configOf(target));
    other.on("error", () => {});
    await other
      .connect()
      .then(() => other.query("select pg_cancel_backend($1)", [processID]))
      .catch(() => {});
    await other.end();
  }
}

/** Whoever waits for a statement hears of a lost connection there; a database dropped under an idle one is no error. */
function listenToErrors(pool: pg.Pool): void {
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
}

/** ROLLBACK first, in a statement of its own: DISCARD ALL refuses to run inside a transaction. */
async function release(client: pg.PoolClient): Promise<void> {
  try {
    await client.query("ROLLBACK");
    await client.query("DISCARD ALL");
    client.release();
  } catch (error) {
    client.release(error as Error);
  }
}
