/**
 * A room of cursors on PartyServer, as its documentation shows it: hibernation on, a state per connection that survives it,
 * everybody told at once of each change. It does what drey's room does for its callers: a verified token at the door, seats
 * bounded, states bounded and older ones ignored, one loud sender limited, whole states on joining, leaving told.
 */
import { createRemoteJWKSet, jwtVerify } from "jose";
import { type Connection, type ConnectionContext, routePartykitRequest, Server } from "partyserver";

interface Env extends Record<string, unknown> {
  ROOM: never;
  ISSUER: string;
  AUDIENCE: string;
  JWKS_URI: string;
}

interface Shown {
  clock: number;
  state: unknown;
}

/** Of a connection: who, and what he shows. */
interface Seat {
  user: string;
  shown?: Shown;
}

const MOST_SEATS = 1_000;
const MOST_BYTES = 4_096;
const PAGE = 100;
/** A token bucket per connection. */
const [FRAMES_PER_S, FRAMES_AT_ONCE] = [50, 100];

export class Room extends Server<Env> {
  static override options = { hibernate: true };
  /** Buckets begin full again after a hibernation, which nobody sleeps through who is loud. */
  readonly #buckets = new WeakMap<Connection, { tokens: number; at: number }>();

  override onConnect(connection: Connection<Seat>, { request }: ConnectionContext): void {
    const others = [...this.getConnections<Seat>()].filter((one) => one.id !== connection.id);
    if (others.length >= MOST_SEATS) {
      connection.close(1013, "the room is full");
      return;
    }
    connection.setState({ user: request.headers.get("x-user") ?? "" });
    const peers = others.flatMap((one) => (one.state?.shown ? [peerOf(one)] : []));
    for (let at = 0; at === 0 || at < peers.length; at += PAGE) {
      connection.send(
        JSON.stringify({ type: at === 0 ? "hello" : "peers", peers: peers.slice(at, at + PAGE) }),
      );
    }
  }

  override onMessage(connection: Connection<Seat>, message: unknown): void {
    if (typeof message !== "string") connection.close(1003, "text only");
    else if (message.length > MOST_BYTES) connection.close(1009, "too large");
    else if (this.#admits(connection)) this.#show(connection, parsed(message));
  }

  #show(connection: Connection<Seat>, shown: Shown | undefined): void {
    if (!shown) {
      connection.close(1007, "not an update");
      return;
    }
    const seat = connection.state as Seat | null;
    if (!seat || shown.clock <= (seat.shown?.clock ?? -1)) return;
    connection.setState({ user: seat.user, shown });
    this.broadcast(JSON.stringify({ type: "peers", peers: [peerOf(connection)] }), [connection.id]);
  }

  override onClose(connection: Connection): void {
    this.broadcast(JSON.stringify({ type: "leave", id: connection.id }), [connection.id]);
  }

  #admits(connection: Connection): boolean {
    const now = Date.now();
    const { tokens, at } = this.#buckets.get(connection) ?? { tokens: FRAMES_AT_ONCE, at: now };
    const left = Math.min(FRAMES_AT_ONCE, tokens + ((now - at) * FRAMES_PER_S) / 1_000) - 1;
    if (left < 0) return false;
    this.#buckets.set(connection, { tokens: left, at: now });
    return true;
  }
}

function peerOf({ id, state }: Connection<Seat>): { id: string; user: string } & Partial<Shown> {
  const { user = "", shown } = (state as Seat | null) ?? {};
  return { id, user, ...shown };
}

function parsed(message: string): Shown | undefined {
  try {
    const { clock, state } = JSON.parse(message) as Shown;
    return Number.isSafeInteger(clock) && typeof state === "object" ? { clock, state } : undefined;
  } catch {
    return undefined;
  }
}

let keys: ReturnType<typeof createRemoteJWKSet> | undefined;
/** Verified tokens and whose they are, until they expire. */
const known = new Map<string, { user: string; expires: number }>();

async function userOf(token: string, env: Env): Promise<string> {
  const entry = known.get(token);
  if (entry && entry.expires > Date.now()) return entry.user;
  keys ??= createRemoteJWKSet(new URL(env.JWKS_URI));
  const { payload } = await jwtVerify(token, keys, { issuer: env.ISSUER, audience: env.AUDIENCE });
  const user = payload.sub ?? "";
  known.set(token, { user, expires: (payload.exp ?? 0) * 1000 });
  return user;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const answer = await routePartykitRequest(request, env, {
      onBeforeConnect: async (upgrade) => {
        const token = upgrade.headers.get("authorization")?.slice("Bearer ".length) ?? "";
        const user = await userOf(token, env).catch(() => undefined);
        if (user === undefined) return Response.json({ code: "unauthenticated" }, { status: 401 });
        const headers = new Headers(upgrade.headers);
        headers.set("x-user", user);
        return new Request(upgrade, { headers });
      },
    });
    return answer ?? Response.json({ code: "not-found" }, { status: 404 });
  },
};
