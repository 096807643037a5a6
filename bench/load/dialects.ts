/** What the two rooms say and understand: the same things in other words. */

/** A peer's state has been shown: whose, by his number, and which. */
export interface Seen {
  peer: number;
  clock: number;
}

export interface Heard {
  seen: Seen[];
  /** Joined: the room has said who is here. */
  hello: boolean;
  /** What is to be said to it. */
  reply?: string;
}

export interface Dialect {
  /** Where the client of this number joins. */
  path(room: string, client: number): string;
  update(clock: number, state: string): string;
  hear(text: string): Heard;
}

/** docs/presence.md */
const drey: Dialect = {
  path: (room, client) => `/v1/workspaces/${room}/presence?client_id=c${client}`,
  update: (clock, state) => `{"kind":"update","clock":${clock},"state":${state}}`,
  hear: (text) => {
    const {
      kind,
      n,
      peers = [],
    } = JSON.parse(text) as {
      kind: string;
      n?: number;
      peers?: { client_id: string; clock: number }[];
    };
    if (kind === "probe") return { seen: [], hello: false, reply: `{"kind":"ack","n":${n}}` };
    if (kind !== "hello" && kind !== "patch") return { seen: [], hello: false };
    const seen = peers.map(({ client_id, clock }) => ({ peer: Number(client_id.slice(1)), clock }));
    return { seen, hello: kind === "hello" };
  },
};

/** peers/presence/worker.ts */
const partyserver: Dialect = {
  path: (room, client) => `/parties/room/${room}?_pk=c${client}`,
  update: (clock, state) => `{"clock":${clock},"state":${state}}`,
  hear: (text) => {
    const { type, peers = [] } = JSON.parse(text) as {
      type: string;
      peers?: { id: string; clock: number }[];
    };
    return {
      seen: peers.map(({ id, clock }) => ({ peer: Number(id.slice(1)), clock })),
      hello: type === "hello",
    };
  },
};

export const DIALECTS = { drey, partyserver };
export type DialectName = keyof typeof DIALECTS;
