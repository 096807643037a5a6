/**
 * Divergences: what two wrote at once and nobody has chosen yet. Any device may choose, so these ask the server.
 */
import type { Choice, Divergence, DivergenceResolved, DivergenceWhole, Scope } from "./api/types.ts";
import { hasCode } from "./http/errors.ts";
import type { Http } from "./http/http.ts";
import { type Insisting, insist } from "./http/insist.ts";

const LIST = "GET /v1/workspaces/{ws}/sync/divergences";
const READ = "GET /v1/workspaces/{ws}/sync/divergences/{divergence}";
const RESOLVE = "POST /v1/workspaces/{ws}/sync/divergences/{divergence}/resolve";

/** Somebody waits for the answer: what does not succeed in that many attempts is his to decide. */
const TRIES = 5;

export type Resolution =
  | ({ outcome: "resolved" } & DivergenceResolved)
  /** Somebody else was first, and has chosen this. */
  | { outcome: "lost"; resolution: NonNullable<Divergence["resolution"]> }
  /** The entity was written since. Look at it again, and send its version with the choice. */
  | { outcome: "moved"; version: number };

export class Divergences {
  readonly #http: Http;
  readonly #insisting: Insisting;
  readonly #onResolved: () => void;

  constructor(http: Http, insisting: Omit<Insisting, "tries">, onResolved: () => void) {
    this.#http = http;
    this.#insisting = { ...insisting, tries: TRIES };
    this.#onResolved = onResolved;
  }

  /** The open ones, newest first, of the workspace or of one scope. */
  async *list(scope?: Scope): AsyncGenerator<Divergence> {
    const of = scope ? { scope_type: scope.type, scope_id: scope.id } : {};
    for (let cursor: string | undefined; ; ) {
      const query = { ...of, cursor };
      const { body } = await this.#insist(() => this.#http.call(LIST, { query, ...this.#signal }));
      yield* body.data;
      if (!body.next_cursor) return;
      cursor = body.next_cursor;
    }
  }

  /** One, with base and both sides. */
  async get(divergence: string): Promise<DivergenceWhole> {
    const sent = { path: { divergence }, ...this.#signal };
    return (await this.#insist(() => this.#http.call(READ, sent))).body;
  }

  /** Chooses what stands. It becomes a mutation in the log, so every device sees it there. */
  async resolve(divergence: string, choice: Choice): Promise<Resolution> {
    const headers = { "idempotency-key": crypto.randomUUID() };
    const sent = { path: { divergence }, body: choice, headers, ...this.#signal };
    try {
      const { body } = await this.#insist(() => this.#http.call(RESOLVE, sent));
      this.#onResolved();
      return { outcome: "resolved", ...body };
    } catch (error) {
      if (!hasCode(error, "conflict")) throw error;
      const { resolution, version } = error.problem;
      if (resolution)
        return { outcome: "lost", resolution: resolution as NonNullable<Divergence["resolution"]> };
      if (typeof version === "number") return { outcome: "moved", version };
      throw error;
    }
  }

  get #signal() {
    return { signal: this.#insisting.signal };
  }

  #insist<T>(act: () => Promise<T>): Promise<T> {
    return insist(act, this.#insisting);
  }
}
