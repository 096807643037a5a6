/**
 * A presence client for the edge tests: connects, collects frames, remembers how it ended.
 *
 * In scope: the socket. Out of scope: what the frames must say (presence.test.ts).
 */
import WebSocket from "ws";
import { type Answer, call, expectStatus, type User, unique } from "./actors.ts";
import { judgeFrame } from "./frames.ts";
import type { Page } from "./shapes.ts";
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
  send(data: string | Uint8Array): void;
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
  return { ...(await seatOf(socket, ticket.client_id)), protocol: socket.protocol };
}

async function seatOf(socket: WebSocket, clientId: string): Promise<Seat> {
  const seat: Seat = {
    clientId,
    frames: [],
    end: undefined,
    send: (data) => socket.send(data),
    update: (clock, state, at) => socket.send(JSON.stringify({ kind: "update", clock, state, at })),
    subscribe: (to) => socket.send(JSON.stringify({ kind: "subscribe", to })),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.close(1000),
  };
  socket.on("message", (data) => {
    const frame = frameOf(String(data));
    if (frame.kind !== "pong") judgeFrame(String(data));
    seat.frames.push(frame);
    if (frame.kind === "probe") socket.send(JSON.stringify({ kind: "ack", n: frame.n }));
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
  socket.send("ping");
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

/** The answer to an upgrade that is refused: what a browser would not show. */
export function refusedUpgrade(
  caller: Pick<User, "api" | "token"> | null,
  place: { id: string },
  headers: Record<string, string> = {},
  protocols: string[] = [],
) {
  const api = caller?.api ?? "";
  const url = `${api.replace("http", "ws")}${roomPath(place, "refused")}`;
  const credential: Record<string, string> = caller?.token ? { authorization: `Bearer ${caller.token}` } : {};
  return new Promise<{ status: number; code: string }>((resolve, reject) => {
    const socket = new WebSocket(url, protocols, { headers: { ...credential, ...headers } });
    socket.once("open", () => {
      socket.close();
      reject(new Error("the upgrade was accepted"));
    });
    socket.once("error", reject);
    socket.once("unexpected-response", (_, incoming) => {
      const parts: Buffer[] = [];
      incoming.on("data", (part: Buffer) => parts.push(part));
      incoming.on("end", () => {
        const { code } = JSON.parse(Buffer.concat(parts).toString()) as { code: string };
        resolve({ status: incoming.statusCode ?? 0, code });
      });
    });
  });
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
