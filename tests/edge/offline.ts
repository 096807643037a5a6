/**
 * An offline-first client of the oracle, on a line that fails it in every way: what it has sent may arrive late, twice, in
 * another order, or not at all, and so may the answers.
 *
 * In scope: a queue, a view of each scope, what was learned. Out of scope: whether it was told the truth (verdict.ts).
 */
import { expect } from "vitest";
import { call, expectProblem, expectStatus, type OwnedWorkspace, trace, unique } from "./actors.ts";
import { type Herd, reach } from "./herd.ts";
import { neonFault } from "./neighbours.ts";
import { type Device, device, type Mutation, push, readScope, type Scope } from "./pushes.ts";
import type { Random } from "./random.ts";
import type { DivergenceResolved, Outcome, StateMessage } from "./shapes.ts";

export type Document = Record<string, unknown> | null;

/** What a client holds of an entity: what it was told last, and its own edits on top. */
interface Held {
  version: number;
  confirmed: Document;
  shown: Document;
}

/** How far a client has read a scope, and what it has seen there of each client. */
interface Feed {
  scope: Scope;
  offset: string;
  seen: Record<string, number>;
}

/** What a history has met, over all of its clients. */
export interface Met {
  /** Connections that a killed Worker left without an answer. */
  cut: number;
  duplicates: number;
  /** Calls that came before the one that was sent before them. */
  gaps: number;
}

const TAKES = ["mine", "theirs", "value"] as const;
const FIELDS = ["f0", "f1", "f2", "f3"];

/** Where an entity is. */
export function keyOf(scope: { id: string }, entity: { id: string }): string {
  return `${scope.id} ${entity.id}`;
}

export class Client {
  readonly id = unique("c");
  readonly sent = new Map<number, Mutation>();
  readonly outcomes = new Map<number, Outcome>();
  /** The values it made up itself; others may carry them along. */
  readonly own = new Set<unknown>();
  readonly view = new Map<string, Held>();
  readonly place: OwnedWorkspace;
  readonly herd: Herd;
  readonly met: Met;
  readonly #feeds: Feed[];
  /** The divergences that nobody has told it the end of; true for those it has tried to end. */
  readonly #open = new Map<string, boolean>();
  /** The newest edit of each entity. */
  readonly #newest = new Map<string, Mutation>();
  /** Calls whose answers nobody waits for. */
  readonly #late: Promise<void>[] = [];
  #failure: unknown;
  #acked = 0;

  constructor(place: OwnedWorkspace, scopes: Scope[], herd: Herd, met: Met) {
    this.place = place;
    this.herd = herd;
    this.met = met;
    this.#feeds = scopes.map((scope) => ({ scope, offset: "-1", seen: {} }));
  }

  /** Writes what all begin with; a scope that is a collection is made by this. */
  async begin(): Promise<void> {
    const [workspace] = this.#feeds;
    for (const feed of this.#feeds) {
      if (feed.scope.type === "collection" && workspace) {
        this.#write(workspace, { type: "collection", id: feed.scope.id }, null, {}, { name: unique("v") });
      }
      for (const id of ["e0", "e1", "e2"]) {
        const value = Object.fromEntries(FIELDS.map((field) => [field, this.#make()]));
        this.#write(feed, { type: "request", id }, null, {}, value);
      }
    }
    const line = { api: 0, fault: 9, times: 0, isLost: false, acks: false };
    while (!this.isDone) await this.#send(this.#queue(), line);
  }

  /** Whether it knows what became of everything it has sent. */
  get isDone(): boolean {
    return this.#queue().length === 0;
  }

  /** Writes one entity locally; it is sent when the client is next online. */
  edit(random: Random): void {
    const feed = this.#feeds[random(this.#feeds.length)] as Feed;
    const entity = { type: "request", id: `e${random(4)}` };
    const key = keyOf(feed.scope, entity);
    const held = this.view.get(key) ?? { version: 0, confirmed: null, shown: null };
    const field = `f${random(4)}`;
    const value = held.shown !== null && random(8) === 0 ? null : { ...held.shown, [field]: this.#make() };
    // An edit on top of one without an outcome was made from what that was made from, whatever has been read since.
    const pending = this.#pending(key);
    const base = pending ? pending.base_version : held.version || null;
    // Some clients send no clock; their base says what they have seen.
    const seen = random(4) ? feed.seen : {};
    this.#write(feed, entity, base, pending ? pending.clock : seen, value);
  }

  #make(): string {
    const made = unique("v");
    this.own.add(made);
    return made;
  }

  #write(
    { scope }: Feed,
    entity: { type: string; id: string },
    base_version: number | null,
    seen: Record<string, number>,
    value: Document,
  ): void {
    const id = this.sent.size + 1;
    const clock = Object.keys(seen).length > 0 ? { ...seen, [this.id]: id } : {};
    const op = value === null ? "delete" : "upsert";
    const mutation: Mutation = { id, scope, entity, op, base_version, clock, ...(value && { value }) };
    this.sent.set(id, mutation);
    const key = keyOf(scope, entity);
    this.#newest.set(key, mutation);
    this.view.set(key, { version: 0, confirmed: null, ...this.view.get(key), shown: value });
  }

  /** The newest edit of an entity, as long as nobody has said what became of it. */
  #pending(key: string): Mutation | undefined {
    const newest = this.#newest.get(key);
    return newest && !this.outcomes.has(newest.id) ? newest : undefined;
  }

  #queue(): Mutation[] {
    return [...this.sent.values()].filter(({ id }) => !this.outcomes.has(id));
  }

  /** Sends what has no outcome yet, and some of what has: at once, in two calls that overtake each other, or without waiting. */
  async push(random: Random): Promise<void> {
    const [oldest] = this.#queue();
    const from = (oldest?.id ?? this.sent.size + 1) - (random(3) ? 0 : random(4));
    const batch = [...this.sent.values()].filter(({ id }) => id >= from);
    const half = random(4) ? batch.length : random(batch.length + 1);
    const parts = [batch.slice(half), batch.slice(0, half)].filter((part) => part.length > 0);
    const calls = parts.map((part) =>
      this.#send(part, {
        api: random(3),
        fault: random(8),
        times: 1 + random(4),
        isLost: random(10) === 0,
        acks: random(3) === 0,
      }),
    );
    if (random(5) > 0) await Promise.all(calls);
    else this.#late.push(...calls.map((late) => late.catch((error) => this.#fail(error))));
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
  }

  /** Waits for what is still on its way. */
  async settle(): Promise<void> {
    await Promise.all(this.#late);
    if (this.#failure) throw this.#failure;
  }

  async #send(
    batch: Mutation[],
    line: { api: number; fault: number; times: number; isLost: boolean; acks: boolean },
  ): Promise<void> {
    if (line.acks) while (this.outcomes.has(this.#acked + 1)) this.#acked += 1;
    const acked = this.#acked > 0 ? { acked_mutation_id: this.#acked } : {};
    const headers = await this.#faulty(line.fault, line.times);
    const ask = () => push(this.#device(line.api), batch, headers, acked);
    const answer = await reach(ask, () => this.#cut());
    if (!answer || line.isLost) return;
    if (answer.status === 409) {
      expectProblem(answer, 409, "mutation-gap");
      this.met.gaps += 1;
      return;
    }
    for (const { id, original, ...outcome } of expectStatus(answer, 200).body.results) {
      if (outcome.outcome === "retry") continue;
      if (outcome.outcome !== "duplicate") this.#learn(id, outcome);
      else if (original) this.#learn(id, original);
      // What became of it is forgotten by then, and was known before.
      else expect(id).toBeLessThanOrEqual(this.#acked);
      if (outcome.outcome === "duplicate") this.met.duplicates += 1;
    }
  }

  /** The headers of a call whose connection to Postgres is cut before (0) or after (1) the commit, as often as told. */
  async #faulty(fault: number, times: number): Promise<Record<string, string>> {
    const mine = trace();
    const kind = (["drop_before_commit", "drop_after_commit"] as const)[fault];
    if (kind) await neonFault({ kind, match: mine.id, times });
    return { traceparent: mine.traceparent };
  }

  #cut(): void {
    this.met.cut += 1;
  }

  #device(api: number): Device {
    return device({ ...this.place.owner, api: this.herd.api(api) }, this.place, this.id);
  }

  #learn(id: number, outcome: Outcome): void {
    const known = this.outcomes.get(id);
    const sent = this.sent.get(id);
    // Whoever asks twice is told the same.
    if (known) {
      expect(outcome).toEqual(known);
      return;
    }
    this.outcomes.set(id, outcome);
    if (outcome.divergence_id) this.#open.set(outcome.divergence_id, false);
    const state = outcome.outcome === "applied" ? sent?.value : outcome.value;
    if (sent)
      this.#confirm(keyOf(sent.scope, sent.entity), outcome.version ?? 0, (state ?? null) as Document);
  }

  /** Takes over a state, unless it knows of a newer one; its own unsent edit stays on top. */
  #confirm(key: string, version: number, confirmed: Document): void {
    const held = this.view.get(key);
    const newer = held && held.version > version ? held : { version, confirmed };
    const pending = this.#pending(key);
    this.view.set(key, {
      ...newer,
      shown: pending ? ((pending.value ?? null) as Document) : newer.confirmed,
    });
  }

  /** Reads the logs to their ends; false if an answer was lost on the way. Now and then it has forgotten how far it was. */
  async pull(random: Random): Promise<boolean> {
    for (const feed of this.#feeds) {
      if (random(8) === 0) feed.offset = "-1";
      for (let isAtEnd = false; !isAtEnd; ) {
        const headers = await this.#faulty(random(16), 1 + random(4));
        const { user } = this.#device(random(3));
        const query = `?offset=${feed.offset}`;
        const ask = () => readScope(user, this.place, feed.scope, query, headers);
        const answer = await reach(ask, () => this.#cut());
        if (!answer) return false;
        for (const message of expectStatus(answer, 200).body) this.#apply(feed, message);
        feed.offset = String(answer.headers.get("stream-next-offset"));
        isAtEnd = answer.headers.get("stream-up-to-date") === "true";
      }
    }
    return true;
  }

  #apply({ scope, seen }: Feed, { key, value, headers }: StateMessage): void {
    const entity = { id: key.slice(key.indexOf("/") + 1) };
    seen[headers.client_id] = Math.max(seen[headers.client_id] ?? 0, headers.mutation_id);
    this.#confirm(keyOf(scope, entity), headers.version, (value ?? null) as Document);
  }

  /** Ends one of its divergences, if it has one, unless somebody was first or the entity has moved on. */
  async resolve(random: Random): Promise<void> {
    await this.#resolve([...this.#open.keys()][random(this.#open.size || 1)], random);
  }

  /** Asks again about those resolutions whose answers were lost: one of them may still be on its way. */
  async resolveLost(random: Random): Promise<boolean> {
    const lost = [...this.#open].filter(([, isTried]) => isTried);
    for (const [id] of lost) await this.#resolve(id, random);
    return lost.length === 0;
  }

  async #resolve(id: string | undefined, random: Random): Promise<void> {
    if (!id) return;
    this.#open.set(id, true);
    const take = TAKES[random(3)];
    const body = { take, ...(take === "value" && { value: { [`f${random(4)}`]: unique("r") } }) };
    const headers = await this.#faulty(random(8), 1 + random(4));
    const path = `/v1/workspaces/${this.place.id}/sync/divergences/${id}/resolve`;
    const { user } = this.#device(random(3));
    const answer = await reach(
      () => call<DivergenceResolved>(user, "POST", path, body, headers),
      () => this.#cut(),
    );
    if (!answer) return;
    expect([200, 409], answer.text).toContain(answer.status);
    this.#open.delete(id);
  }
}
