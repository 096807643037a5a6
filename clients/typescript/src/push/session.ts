/**
 * The session that pushes name: it makes the client's state visible to others, and tells what the server takes at a time.
 */
import type { SyncSessionOpen, SyncSessionOpened } from "../api/types.ts";
import { hasCode } from "../http/errors.ts";
import type { Http } from "../http/http.ts";
import { META, type Meta, metaOf, type Place } from "../queue/records.ts";
import { beginAgain } from "../queue/renumber.ts";
import type { Caps } from "../queue/take.ts";
import type { State } from "../state.ts";
import type { Store, Transaction } from "../store/store.ts";

type Scopes = NonNullable<SyncSessionOpen["scopes"]>;

const OPEN = "POST /v1/workspaces/{ws}/sync/sessions";
const READ = "GET /v1/workspaces/{ws}/sync/sessions/{session}";

/** As the API documents them; the session's own count once it is open. */
const DEFAULT_CAPS: Caps = { mutations: 500, bytes: 1_048_576 };

/** A session names at most this many places. */
const MOST_PLACES = 500;

export interface SessionParts {
  http: Http;
  store: Store;
  state: State;
  clientName: string;
  capabilities: string[];
}

export class Session {
  caps: Caps = DEFAULT_CAPS;
  readonly #parts: SessionParts;
  #isOpen = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
  }

  /** Opens one unless this client has. */
  async ensure(signal: AbortSignal): Promise<void> {
    if (this.#isOpen) return;
    const { store } = this.#parts;
    const [meta, scopes] = await store.transact(async (transaction) => [
      await kept(transaction),
      await placesOf(transaction),
    ]);
    const opened = await this.#open(meta.client_id, scopes, signal);
    const isOwn = await store.transact((transaction) => taken(transaction, meta.client_id, opened));
    if (!isOwn) return this.ensure(signal);
    this.#isOpen = true;
    this.#learn(opened);
  }

  /** What the server knows of the client by now. */
  async refresh(signal: AbortSignal): Promise<void> {
    await this.ensure(signal);
    const { http, store } = this.#parts;
    const session = (await store.transact(metaOf)).session_id ?? "";
    try {
      this.#learn((await http.call(READ, { path: { session }, signal })).body);
    } catch (error) {
      if (!hasCode(error, "not-found")) throw error;
      await this.over(session);
      await this.ensure(signal);
    }
  }

  /** The server does not know this session: another is opened, unless another client of the store has done so. */
  async over(session: string | null): Promise<void> {
    const { session_id } = await this.#parts.store.transact(metaOf);
    this.#isOpen = session_id !== null && session_id !== session;
  }

  async #open(client_id: string, scopes: Scopes, signal: AbortSignal): Promise<SyncSessionOpened> {
    const { clientName: client_name, capabilities, http } = this.#parts;
    const headers = { "idempotency-key": crypto.randomUUID() };
    const body = { client_id, client_name, capabilities, scopes };
    return (await http.call(OPEN, { body, headers, signal })).body;
  }

  #learn({ limits, open_divergences, scopes }: SyncSessionOpened): void {
    this.caps = { mutations: limits.mutations_per_push, bytes: limits.push_bytes };
    this.#parts.state.set({ open_divergences });
    this.#parts.state.heads(scopes);
  }
}

/** The id is kept before anybody hears of it. */
async function kept(transaction: Transaction): Promise<Meta> {
  const meta = await metaOf(transaction);
  transaction.put(META, meta);
  return meta;
}

async function placesOf(transaction: Transaction): Promise<Scopes> {
  const scopes: unknown[] = [];
  await transaction.each<Place>("place/", (key, { offset }) => {
    const [, type = "", id = ""] = key.split("/").map(decodeURIComponent);
    if (/^\d+_\d+$/.test(offset)) scopes.push({ type, id, offset });
    return scopes.length < MOST_PLACES;
  });
  return scopes as Scopes;
}

/**
 * Keeps the session; false if the client has another id now. Numbers that this store has never sent show that it is a copy, or
 * an old state, of another one: going on with them would pass for repetitions of what that other one has written.
 */
async function taken(
  transaction: Transaction,
  clientId: string,
  opened: SyncSessionOpened,
): Promise<boolean> {
  const meta = await metaOf(transaction);
  if (meta.client_id !== clientId) return false;
  if (opened.last_mutation_id > meta.attempted_id) {
    await beginAgain(transaction);
    return false;
  }
  transaction.put(META, { ...meta, session_id: opened.id } satisfies Meta);
  return true;
}
