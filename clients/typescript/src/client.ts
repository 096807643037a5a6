/**
 * The client: what is written is queued, what is queued is pushed, what others write is followed.
 */
import type { Entity, Scope } from "./api/types.ts";
import { Divergences } from "./divergences.ts";
import { Events } from "./events.ts";
import { Credential } from "./http/credential.ts";
import { Http } from "./http/http.ts";
import { insist } from "./http/insist.ts";
import type { ClientEvents, Options, Told } from "./options.ts";
import type { Live } from "./pull/follow.ts";
import { Replica } from "./pull/replica.ts";
import { Pusher } from "./push/pusher.ts";
import { Session } from "./push/session.ts";
import { type Draft, enqueue, named, sendable } from "./queue/enqueue.ts";
import { deliver, Outcomes } from "./queue/outcomes.ts";
import { type Meta, metaOf, type Settled } from "./queue/records.ts";
import { ScopeHandle, type Written } from "./scope.ts";
import { State, type SyncState } from "./state.ts";
import type { Store } from "./store/store.ts";
import { type Tabs, tabsOf } from "./tabs.ts";
import { systemTimer, type Timer } from "./timer.ts";
import { Wakes } from "./wakes.ts";

const DEADLINE_MS = 30_000;
const POLL_MS = 5_000;

/** What tabs of one store tell each other. */
type Notice = { settled: Settled } | { changed: { scope: Scope; entities: Entity[] } };

export class Client {
  readonly http: Http;
  readonly timer: Timer;
  readonly divergences: Divergences;
  /** How followed scopes wait for more. */
  readonly live: Live;
  /** What a joined room says of scopes. */
  readonly wakes: Wakes;
  /** Aborts when the client is closed. */
  readonly signal: AbortSignal;
  readonly #closing = new AbortController();
  /** Ends all waits of the moment. */
  #hurry = new AbortController();
  readonly #events = new Events<ClientEvents>();
  readonly #store: Store;
  readonly #tabs: Tabs;
  readonly #outcomes: Outcomes;
  readonly #state: State;
  readonly #session: Session;
  readonly #pusher: Pusher;
  readonly #replica: Replica;

  constructor(options: Options) {
    const {
      store,
      token,
      deadlineMs = DEADLINE_MS,
      pollMs = POLL_MS,
      live = "long-poll",
      clientName,
      capabilities = [],
    } = options;
    this.#store = store;
    this.live = live;
    this.timer = hurried(options.timer ?? systemTimer, () => this.#hurry.signal);
    this.signal = this.#closing.signal;
    this.#tabs = options.tabs ?? tabsOf(store.name);
    this.#tabs.hear((notice) => this.#hear(notice as Notice));
    const credential = new Credential(token, (problem) => this.#events.emit("credential", problem));
    // Called as a method of anything else, a browser's fetch refuses.
    const fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.http = new Http(options, credential, { fetch, deadlineMs });
    this.#state = new State((state) => this.#events.emit("state", state));
    this.wakes = new Wakes(this.timer, (scopes) => this.#state.heads(scopes));
    this.#outcomes = new Outcomes((settled) => this.#told(settled));
    const parts = { http: this.http, store, timer: this.timer, state: this.#state, signal: this.signal };
    this.#session = new Session({ ...parts, clientName, capabilities });
    this.#pusher = new Pusher({
      ...parts,
      tabs: this.#tabs,
      session: this.#session,
      deliver: () => this.#deliver(),
      onPause: (problem) => this.#events.emit("paused", problem),
    });
    this.#replica = new Replica({
      ...parts,
      pollMs,
      wakes: this.wakes,
      live,
      emit: (name, event) => this.#events.emit(name, event),
    });
    const insisting = { timer: this.timer, credential, signal: this.signal };
    this.divergences = new Divergences(this.http, insisting, () => this.#state.countDivergence(-1));
  }

  /** Listens until the function that it gives is called. Listen before `start`: outcomes of an earlier run come then. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  get state(): SyncState {
    return this.#state.current;
  }

  /** Begins to send what is queued, now and whenever there is more. */
  async start(): Promise<void> {
    const { signal } = this;
    // Browsers tell when the network is back.
    const page: Partial<Pick<Window, "addEventListener">> = globalThis;
    page.addEventListener?.("online", () => this.#stopWaiting(), { signal });
    this.#count(await this.#store.transact(metaOf));
    if (this.#state.current.status === "stopped") this.#state.go("idle");
    this.#pusher.kick();
  }

  scope(type: Scope["type"], id: string): ScopeHandle {
    const follow = (scope: Scope) => this.#replica.follow(scope);
    return new ScopeHandle({ type, id }, { store: this.#store, write: (draft) => this.write(draft), follow });
  }

  /** Takes a change into the queue. When this resolves it is kept, whatever happens. */
  async write(draft: Draft): Promise<Written> {
    const [scope, entity, value] = [named(draft.scope), named(draft.entity), sendable(draft.value)];
    const [taken, meta] = await this.#store.transact(async (transaction) => {
      const made = await enqueue(transaction, { ...draft, scope, entity, value });
      return [made, await metaOf(transaction)] as const;
    });
    const outcome = taken.outcome ? Promise.resolve(taken.outcome) : this.#outcomes.of(taken.ref);
    this.#count(meta);
    this.#changed({ scope, entities: [entity] });
    if (this.#state.current.status !== "stopped") this.#pusher.kick();
    return { ref: taken.ref, outcome };
  }

  /** Goes on with another token. */
  setToken(token: string): void {
    this.http.credential.set(token);
    this.resume();
  }

  /** Tries at once, sending and reading: what paused it is mended, or the network is back. */
  resume(): void {
    this.#stopWaiting();
    if (this.#state.current.status !== "stopped") this.#pusher.resume();
  }

  /** Asks the server how this client stands: divergences, and ends of logs. */
  async refresh(): Promise<SyncState> {
    const { timer, signal } = this;
    const act = () => this.#session.refresh(signal);
    await insist(act, { timer, signal, credential: this.http.credential, tries: 5 });
    return this.state;
  }

  /** Ends. What is queued stays in the store, which this closes too. */
  close(): void {
    this.#closing.abort();
    this.#state.go("stopped");
    this.#tabs.close();
    this.#store.close();
  }

  #stopWaiting(): void {
    this.#hurry.abort();
    this.#hurry = new AbortController();
  }

  async #deliver(): Promise<void> {
    const tell = (settled: Settled) => {
      this.#outcomes.told(settled);
      this.#tabs.tell({ settled } satisfies Notice);
    };
    this.#count(await deliver(this.#store, tell));
  }

  #told({ mutation, outcome }: Settled): void {
    const { ref, scope, entity, value = null } = mutation;
    const told: Told = { ref, scope, entity, value, outcome };
    if (outcome.outcome === "diverged") this.#state.countDivergence(1);
    this.#events.emit("outcome", told);
    if (outcome.outcome === "rejected") this.#events.emit("rejected", told);
    if (outcome.outcome === "diverged") this.#events.emit("divergence", told);
    this.#events.emit("change", { scope, entities: [entity] });
  }

  #changed(changed: ClientEvents["change"]): void {
    this.#events.emit("change", changed);
    this.#tabs.tell({ changed } satisfies Notice);
  }

  #hear(notice: Notice): void {
    if ("settled" in notice) this.#outcomes.told(notice.settled);
    else this.#events.emit("change", notice.changed);
    void this.#store.transact(metaOf).then(
      (meta) => this.#count(meta),
      () => {},
    );
  }

  #count({ last_id, settled_id }: Meta): void {
    this.#state.set({ pending: last_id - settled_id, last_acknowledged: settled_id });
  }
}

/** A timer whose waits end early when the signal of their time aborts. */
function hurried(timer: Timer, hurry: () => AbortSignal): Timer {
  return {
    now: () => timer.now(),
    random: () => timer.random(),
    wait: (ms, signal) => timer.wait(ms, AbortSignal.any([signal, hurry()])),
  };
}
