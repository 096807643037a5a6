/**
 * The server's side of sessions and pushes, as far as numbers go: for histories that are too many for the real one.
 *
 * In scope: the order of mutations, outcomes that are repeated until acknowledged, faults at any moment. Out of scope: merging.
 */
import type { Random } from "../../../tests/edge/random.ts";

interface Mutation {
  id: number;
  entity: { type: string; id: string };
  base_version: number | null;
  value?: { n: number };
}

type Outcome = Record<string, unknown>;

interface Known {
  last: number;
  outcomes: Map<number, Outcome>;
}

export class Model {
  /** The `n` of each mutation, in the order in which they were processed. */
  readonly processed: number[] = [];
  /** What became of each `n`. */
  readonly outcomes = new Map<number, Outcome>();
  /** No faults any more. */
  isCalm = false;
  readonly #clients = new Map<string, Known>();
  readonly #random: Random;
  #session = 0;
  #epoch = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const { pathname } = new URL(String(input));
    const body = JSON.parse(String(init?.body ?? "{}"));
    const fault = this.isCalm ? 99 : this.#random(24);
    if (fault === 0) throw new TypeError("fetch failed");
    if (fault === 1) return problem(503, "overloaded", { retry_after: 1 });
    if (fault === 2) return problem(429, "rate-limited", { retry_after: 2 });
    if (fault === 3 && pathname.endsWith("/push")) return problem(409, "session-expired");
    if (fault === 4) return new Response("<html>bad gateway</html>", { status: 502 });
    const answer = pathname.endsWith("/sessions") ? this.#open(body) : this.#push(body);
    // It was processed, and nobody hears of it.
    if (fault === 5) throw new TypeError("fetch failed");
    return answer;
  };

  #known(client: string): Known {
    const known = this.#clients.get(client) ?? { last: 0, outcomes: new Map() };
    this.#clients.set(client, known);
    return known;
  }

  #open({ client_id }: { client_id: string }): Response {
    this.#session += 1;
    const limits = {
      mutations_per_push: 3 + this.#random(3),
      push_bytes: 1_048_576,
      value_bytes: 1,
      chunk_bytes: 1,
    };
    const { last: last_mutation_id } = this.#known(client_id);
    const session = { id: `ses_${this.#session}`, limits, last_mutation_id, open_divergences: 0, scopes: [] };
    return Response.json(session, { status: 201 });
  }

  #push(body: { client_id: string; acked_mutation_id: number; mutations: Mutation[] }): Response {
    const known = this.#known(body.client_id);
    const fresh = body.mutations.filter(({ id }) => id > known.last);
    if (fresh.some(({ id }, index) => id !== known.last + 1 + index)) {
      return problem(409, "mutation-gap", { expected_id: known.last + 1 });
    }
    for (const id of known.outcomes.keys()) if (id <= body.acked_mutation_id) known.outcomes.delete(id);
    let isOver = false;
    const results = body.mutations.map((mutation) => {
      const { id } = mutation;
      if (id <= known.last) return { id, outcome: "duplicate", original: known.outcomes.get(id) ?? null };
      isOver ||= !this.isCalm && this.#random(12) === 0;
      if (isOver) return { id, outcome: "retry" };
      const outcome = this.#process(mutation);
      known.outcomes.set(id, outcome);
      known.last = id;
      return { id, ...outcome };
    });
    return Response.json({ results, last_mutation_id: known.last, scopes: [] });
  }

  #process({ value }: Mutation): Outcome {
    const n = value?.n ?? -1;
    this.processed.push(n);
    const kind = this.#random(6);
    this.#epoch += 1;
    const outcome =
      kind === 0
        ? { outcome: "rejected", code: "secret-value", detail: "No." }
        : kind === 1
          ? { outcome: "diverged", version: this.#epoch, value: { n: -this.#epoch }, divergence_id: "div_x" }
          : { outcome: "applied", version: this.#epoch };
    this.outcomes.set(n, outcome);
    return outcome;
  }
}

function problem(status: number, code: string, members: object = {}): Response {
  return Response.json(
    { type: "x", title: "x", status, detail: "x", code, request_id: "x", ...members },
    { status },
  );
}
