/**
 * A room: joined until it is left, through whatever happens to its connections.
 */
import type { Value } from "../api/types.ts";
import type { Client } from "../client.ts";
import { Events } from "../events.ts";
import { ApiError, DreyError } from "../http/errors.ts";
import type { Answer } from "../http/http.ts";
import { insist } from "../http/insist.ts";
import type { Hearing } from "./connection.ts";
import { comeBackMs, type End, EXPIRED, isFinal, LOST, wasSteady } from "./ends.ts";
import type { Frame, Moved, Peer } from "./frames.ts";
import { Outbox, type Say, type Shown } from "./outbox.ts";
import { Peers, type Person } from "./peers.ts";
import { type Sockets, sit } from "./socket.ts";
import { listen } from "./stream.ts";

const TICKET = "POST /v1/workspaces/{ws}/presence/tickets";
const PAGE = "GET /v1/workspaces/{ws}/presence";

const PING_MS = 30_000;
/** So many sockets in a row that never began, and the next connection is a stream. */
const MOST_FAILURES = 3;

/** `open`: seen and seeing; `listening`: seeing, by a stream; `waiting`: comes back by itself; `left`: does not. */
export type RoomStatus = "joining" | "open" | "listening" | "waiting" | "left";

export interface JoinOptions {
  /** Takes the place of the client of this id, its older connection ends. 1 to 64 of `A-Z a-z 0-9 _ -`; a new one each time. */
  clientId?: string;
  /** What to show first, as by `update`. */
  state?: Value | null;
  at?: string[];
  /** What to hear of first, as by `subscribe`. */
  to?: string[] | null;
  /** Instead of the platform's; null: a stream, which only hears. */
  WebSocket?: Sockets | null;
  /** How often to show a sign of life; 30 s. */
  pingMs?: number;
}

export interface RoomEvents {
  /** Somebody came, moved or left. */
  change: Person[];
  status: RoomStatus;
  /** A push has moved these scopes of sync. Whatever the client follows is read by itself. */
  notice: Moved[];
  /** The room is left, and not by `leave`: why. */
  ended: DreyError;
  /** What a listener threw. */
  error: unknown;
}

/** Joins the room of the client's workspace. */
export function join(client: Client, options: JoinOptions = {}): Room {
  return new Room(client, options);
}

export class Room {
  readonly clientId: string;
  readonly #client: Client;
  readonly #events = new Events<RoomEvents>();
  readonly #leaving = new AbortController();
  readonly #signal: AbortSignal;
  readonly #sockets: Sockets | null;
  readonly #pingMs: number;
  readonly #peers: Peers;
  readonly #outbox: Outbox;
  readonly #last = { id: "" };
  /** Ends the stream of the moment. */
  #streaming = new AbortController();
  #to: string[] | null;
  #say: Say | undefined;
  /** Which the connection was made with. */
  #token = "";
  #status: RoomStatus = "joining";
  /** Counts the hellos: pages of an earlier one are of no use. */
  #hellos = 0;

  constructor(client: Client, options: JoinOptions) {
    const { clientId = crypto.randomUUID(), state = null, at = [], to = null, pingMs = PING_MS } = options;
    this.clientId = clientId;
    this.#client = client;
    this.#signal = AbortSignal.any([client.signal, this.#leaving.signal]);
    this.#sockets = options.WebSocket === undefined ? (globalThis.WebSocket ?? null) : options.WebSocket;
    this.#pingMs = pingMs;
    this.#peers = new Peers(clientId);
    this.#outbox = new Outbox(client.timer, this.#signal);
    this.#to = to;
    this.#outbox.show({ state, at });
    void this.#stay();
  }

  /** Listens until the function that it gives is called. */
  on<Name extends keyof RoomEvents>(name: Name, listener: (event: RoomEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  get status(): RoomStatus {
    return this.#status;
  }

  /** The others, and this user's other tabs: several tabs of one user are one person. */
  get people(): Person[] {
    return this.#peers.people();
  }

  /** The same, tab by tab. */
  get clients(): Peer[] {
    return this.#peers.clients();
  }

  /**
   * Shows this, whole, until the next update: now, with the next tick if there was one just now, and again on each new connection.
   * null: stays, and is not seen. `at`: the places it looks at, at most 4. Throws `state-too-large` above 4 KiB.
   */
  update(state: Value | null, at: string[] = []): void {
    this.#outbox.show({ state, at } satisfies Shown);
  }

  /** Hears of these places alone, at most 8; null: of the whole room. */
  subscribe(to: string[] | null): void {
    this.#to = to;
    this.#say?.(subscribing(to));
    // A stream is asked for its places when it begins, and what it missed meanwhile is of other ones.
    this.#last.id = "";
    this.#streaming.abort();
  }

  /** Ends, at once for everybody. */
  leave(): void {
    this.#leaving.abort();
  }

  async #stay(): Promise<void> {
    // Listeners are told nothing before they can listen.
    await Promise.resolve();
    try {
      await this.#comeBack();
    } catch (problem) {
      const isOwn = this.#signal.aborted;
      this.#leaving.abort();
      if (!isOwn) this.#events.emit("ended", asError(problem));
    }
    this.#peers.begin([]);
    this.#go("left");
  }

  /** One connection after the other; throws what neither time nor another credential mends. */
  async #comeBack(): Promise<void> {
    const { timer } = this.#client;
    for (let [attempt, failures] = [0, 0]; !this.#signal.aborted; attempt += 1) {
      const end = await this.#attend(failures);
      this.#outbox.end();
      this.#say = undefined;
      this.#client.wakes.end(this);
      if (this.#signal.aborted) return;
      if (isFinal(end)) throw new DreyError(`closed-${end.code}`, end.detail);
      failures = end.code === LOST.code && end.livedMs === undefined ? failures + 1 : 0;
      if (wasSteady(end)) attempt = 0;
      this.#go("waiting");
      if (end.code === EXPIRED) await this.#renewed(end);
      await timer.wait(comeBackMs(end, attempt, timer.random()), this.#signal);
    }
  }

  /** A ticket for a credential that the room has just refused would be of no use. */
  async #renewed({ detail }: End): Promise<void> {
    const { credential } = this.#client.http;
    credential.refuse(this.#token, new ApiError(401, { code: "token-expired", detail }, 0));
    await credential.renewed(this.#signal);
  }

  /** Admission is asked each time: whoever lost his access finds it out here. */
  async #attend(failures: number): Promise<End> {
    const { http, timer } = this.#client;
    const [sockets, signal] = [this.#sockets, this.#signal];
    const insisting = { timer, signal, credential: http.credential };
    const onFrame = (frame: Frame, say: Say | undefined) => this.#hear(frame, say);
    const hearing = { timer, signal, onFrame, onResume: () => this.#isIn("listening") };
    if (!sockets || failures >= MOST_FAILURES) return insist(() => this.#listen(hearing), insisting);
    const { body } = await insist(() => this.#ticket(), insisting);
    return sit({ sockets, url: this.#url(), protocols: body.protocols, pingMs: this.#pingMs }, hearing);
  }

  #ticket(): Promise<Answer<typeof TICKET>> {
    const { http } = this.#client;
    this.#token = http.credential.token;
    return http.call(TICKET, { query: { client_id: this.clientId }, signal: this.#signal });
  }

  #listen(hearing: Hearing): Promise<End> {
    const { http } = this.#client;
    this.#token = http.credential.token;
    this.#streaming = new AbortController();
    const signal = AbortSignal.any([hearing.signal, this.#streaming.signal]);
    return listen({ http, to: this.#to, last: this.#last }, { ...hearing, signal });
  }

  #url(): string {
    const { api, workspace } = this.#client.http.tenant;
    const url = new URL(`/v1/workspaces/${encodeURIComponent(workspace)}/presence`, api);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url.href;
  }

  #hear(frame: Frame, say: Say | undefined): void {
    if (frame.kind === "hello") this.#begin(frame, say);
    if (frame.kind === "patch") this.#peers.patch(frame.peers);
    if (frame.kind === "leave") this.#peers.leave(frame.peers);
    if (frame.kind === "notice") this.#notice(frame.scopes);
    else this.#changed();
  }

  /** Merging everybody's tabs for each frame is of use to listeners alone. */
  #changed(): void {
    if (this.#events.hears("change")) this.#events.emit("change", this.people);
  }

  #begin({ peers, limits, more }: Extract<Frame, { kind: "hello" }>, say: Say | undefined): void {
    this.#hellos += 1;
    this.#peers.begin(peers, more);
    if (more) void this.#fill(this.#hellos);
    if (say && say !== this.#say) {
      this.#say = say;
      if (this.#to) say(subscribing(this.#to));
      this.#outbox.begin(say, limits);
    }
    this.#isIn(say ? "open" : "listening");
  }

  #isIn(status: RoomStatus): void {
    // Whoever was away, or has fallen behind, may have missed a notice.
    this.#client.wakes.begin(this);
    this.#go(status);
  }

  #notice(scopes: Moved[]): void {
    this.#client.wakes.tell(scopes);
    this.#events.emit("notice", scopes);
  }

  /** The rest of a room that is larger than its first page. What is lost of it comes with its next move. */
  async #fill(hello: number): Promise<void> {
    const { http, timer } = this.#client;
    const insisting = { timer, signal: this.#signal, credential: http.credential };
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const query = { view: "clients" as const, limit: 100, cursor, at: this.#to?.join(",") };
      const page = await insist(() => http.call(PAGE, { query, signal: this.#signal }), insisting).catch(
        () => undefined,
      );
      if (hello !== this.#hellos) return;
      if (!page) break;
      this.#peers.fill(page.body.data as unknown as Peer[]);
      this.#changed();
      cursor = page.body.next_cursor;
    }
    this.#peers.filled();
  }

  #go(status: RoomStatus): void {
    if (status === this.#status) return;
    this.#status = status;
    this.#events.emit("status", status);
  }
}

function subscribing(to: string[] | null): string {
  return JSON.stringify({ kind: "subscribe", to });
}

function asError(problem: unknown): DreyError {
  if (problem instanceof DreyError) return problem;
  return new DreyError("unexpected", problem instanceof Error ? problem.message : String(problem), problem);
}
