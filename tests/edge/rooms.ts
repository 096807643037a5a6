/**
 * A presence client for the edge tests: connects, collects frames, remembers how it ended.
 *
 * In scope: the socket. Out of scope: what the frames must say (presence.test.ts).
 */
import type { IncomingMessage } from "node:http";
import WebSocket from "ws";
import { type Answer, answerOf, call, expectStatus, type User, unique } from "./actors.ts";
import { judgeHeard, judgeSaid } from "./frames.ts";
import type { Page, Problem } from "./shapes.ts";
import { poll } from "./world.ts";

export interface PeerView {
  client_id: string;
  user_id: string;
  name: string | null;
  at: string[];
  state: Record<string, unknown>;
  clock: number;
  seen_at: string;
}

export interface Frame {
  kind: "hello" | "patch" | "leave" | "notice" | "probe" | "error" | "pong";
  v?: number;
  client_id?: string;
  /** Of a `leave` only `client_id` and `clock` of each. */
  peers?: PeerView[];
  limits?: { state_bytes: number; frames_per_s: number; tick_ms: number };
  more?: boolean;
  scopes?: { type: string; id: string; generation: number; epoch: number }[];
  clock?: number;
  code?: number;
  detail?: string;
  retry_after_ms?: number;
  /** Of a `probe`. */
  n?: number;
}

export interface Seat {
  clientId: string;
  frames: Frame[];
  /** Set once the socket is closed. */
  end: { code: number; reason: string } | undefined;
  /** Whether it answers the room's questions; it does. */
  answers: boolean;
  /** A frame that docs/asyncapi.yaml describes; throws for any other. */
  send(frame: string): void;
  /** Whatever this is: for what no client should send. */
  raw(data: string | Uint8Array): void;
  update(clock: number, state: Record<string, unknown> | null, at?: string[]): void;
  /** Hears of these places alone; null for the whole room. */
  subscribe(to: string[] | null): void;
  /** Stops reading what comes, and reads on. */
  pause(): void;
  resume(): void;
  close(): void;
}

/** Takes a seat in the room, once `hello` has come. */
export async function sit(
  caller: User,
  place: { id: string },
  clientId: string = unique("seat"),
): Promise<Seat> {
  const url = `${caller.api.replace("http", "ws")}${roomPath(place, clientId)}`;
  return seatOf(new WebSocket(url, { headers: { authorization: `Bearer ${caller.token}` } }), clientId);
}

export interface Ticket {
  ticket: string;
  client_id: string;
  protocols: string[];
  expires_in_ms: number;
}

/** A one-time ticket for this room. */
export async function ticketFor(caller: User, place: { id: string }): Promise<Ticket> {
  const answer = await call<Ticket>(caller, "POST", `/v1/workspaces/${place.id}/presence/tickets`);
  return expectStatus(answer, 201).body;
}

/** Takes a seat as a browser does: no header of its own but the protocols and the origin it comes from. */
export async function sitByTicket(
  api: string,
  place: { id: string },
  ticket: Ticket,
  origin?: string,
): Promise<Seat & { protocol: string }> {
  const url = `${api.replace("http", "ws")}/v1/workspaces/${place.id}/presence`;
  const socket = new WebSocket(url, ticket.protocols, origin ? { origin } : {});
  return Object.assign(await seatOf(socket, ticket.client_id), { protocol: socket.protocol });
}

async function seatOf(socket: WebSocket, clientId: string): Promise<Seat> {
  const seat: Seat = {
    clientId,
    frames: [],
    end: undefined,
    answers: true,
    send: (frame) => {
      judgeSaid(frame);
      socket.send(frame);
    },
    raw: (data) => socket.send(data),
    update: (clock, state, at) => seat.send(JSON.stringify({ kind: "update", clock, state, at })),
    subscribe: (to) => seat.send(JSON.stringify({ kind: "subscribe", to })),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.close(1000),
  };
  socket.on("message", (data) => {
    const frame = frameOf(String(data));
    judgeHeard(String(data));
    seat.frames.push(frame);
    if (frame.kind === "probe" && seat.answers) seat.send(JSON.stringify({ kind: "ack", n: frame.n }));
  });
  socket.on("close", (code, reason) => {
    seat.end = { code, reason: String(reason) };
  });
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  await until(seat, "hello", (frame) => frame.kind === "hello");
  // The local runtime ends the connection of a closed socket only if it has ever read from it; real clients ping anyway.
  seat.send("ping");
  return seat;
}

/** `pong` is the one text that is no JSON. */
function frameOf(text: string): Frame {
  return text === "pong" ? { kind: "pong" } : (JSON.parse(text) as Frame);
}

/** The first frame that fits, also among those that have come before. */
export function until(seat: Seat, what: string, fits: (frame: Frame) => boolean): Promise<Frame> {
  return poll(`${what} at ${seat.clientId}`, async () => seat.frames.find(fits));
}

/** Whether this frame says that `clientId` has left. */
export function isLeaveOf(frame: Frame, clientId: string): boolean {
  return frame.kind === "leave" && (frame.peers ?? []).some((peer) => peer.client_id === clientId);
}

/** What a seat knows of the others: every frame applied in the order they came. */
export function known(seat: Seat): Map<string, unknown> {
  const room = new Map<string, unknown>();
  for (const frame of seat.frames) {
    if (frame.kind === "hello") room.clear();
    for (const peer of frame.peers ?? []) {
      if (frame.kind === "leave") room.delete(peer.client_id);
      else if (peer.client_id !== seat.clientId) room.set(peer.client_id, peer.state);
    }
  }
  return room;
}

export function untilClosed(seat: Seat): Promise<{ code: number; reason: string }> {
  return poll(`the end of ${seat.clientId}`, async () => seat.end);
}

/** Why an upgrade is refused. */
export async function refusedUpgrade(...upgrade: Parameters<typeof upgradeAnswer>) {
  const { status, body } = await upgradeAnswer(...upgrade);
  return { status, code: body.code };
}

/** The answer to an upgrade that is refused: what a browser would not show. */
export function upgradeAnswer(
  caller: Pick<User, "api" | "token"> | null,
  place: { id: string },
  headers: Record<string, string> = {},
  protocols: string[] = [],
): Promise<Answer<Problem>> {
  const api = caller?.api ?? "";
  const url = `${api.replace("http", "ws")}${roomPath(place, "refused")}`;
  const credential: Record<string, string> = caller?.token ? { authorization: `Bearer ${caller.token}` } : {};
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocols, { headers: { ...credential, ...headers } });
    socket.once("open", () => {
      socket.close();
      reject(new Error("the upgrade was accepted"));
    });
    socket.once("error", reject);
    socket.once("unexpected-response", (_, incoming) => {
      refusalOf(incoming).then(resolve, reject);
    });
  });
}

async function refusalOf(incoming: IncomingMessage): Promise<Answer<Problem>> {
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part as Buffer);
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(incoming.headersDistinct)) {
    for (const value of values) headers.append(name, value);
  }
  return answerOf(new Response(Buffer.concat(parts), { status: incoming.statusCode ?? 0, headers }));
}

/** A page of the clients present. */
export function snapshot(caller: User, place: { id: string }, query = ""): Promise<Answer<Page<PeerView>>> {
  return call<Page<PeerView>>(caller, "GET", `/v1/workspaces/${place.id}/presence?view=clients&${query}`);
}

export interface PersonView extends Omit<PeerView, "client_id" | "clock"> {
  clients: number;
}

/** A page of the people present. */
export function people(
  caller: User,
  place: { id: string },
  query = "",
  headers: Record<string, string> = {},
): Promise<Answer<Page<PersonView>>> {
  return call(caller, "GET", `/v1/workspaces/${place.id}/presence?${query}`, undefined, headers);
}

function roomPath(place: { id: string }, clientId: string): string {
  return `/v1/workspaces/${place.id}/presence?client_id=${clientId}`;
}
