/**
 * One WebSocket to a room, from its ticket to its end.
 */
import type { Timer } from "../timer.ts";
import type { Hearing } from "./connection.ts";
import { type End, LOST, toldEnd } from "./ends.ts";
import { type Frame, frameOf } from "./frames.ts";

/** The part of `WebSocket` that is used, as browsers, Node and the package `ws` have it. */
export type Sockets = new (
  url: string,
  protocols: string[],
) => Pick<WebSocket, "send" | "close" | "addEventListener" | "readyState">;

export interface Seat {
  sockets: Sockets;
  url: string;
  protocols: string[];
  /** How often to show a sign of life. */
  pingMs: number;
}

const OPEN = 1;
const LEFT = 1000;

/** Resolves when it has ended, in whatever way. */
export function sit({ sockets, url, protocols, pingMs }: Seat, hearing: Hearing): Promise<End> {
  const { timer, signal, onFrame } = hearing;
  return new Promise((resolve) => {
    const ended = new AbortController();
    const socket = new sockets(url, protocols);
    let [since, told]: [number | undefined, Extract<Frame, { kind: "error" }> | undefined] = [
      undefined,
      undefined,
    ];
    const life = new Life(timer, () => say("ping"));
    const say = (text: string) => {
      if (socket.readyState === OPEN) socket.send(text);
    };
    const end = (how: End) => {
      if (ended.signal.aborted) return;
      ended.abort();
      signal.removeEventListener("abort", leave);
      resolve({ ...how, livedMs: since === undefined ? undefined : timer.now() - since });
    };
    const leave = () => {
      socket.close(LEFT);
      end({ code: LEFT, detail: "left" });
    };
    signal.addEventListener("abort", leave);
    socket.addEventListener("message", ({ data }) => {
      life.heard();
      const frame = frameOf(data);
      if (!frame || ended.signal.aborted) return;
      if (frame.kind === "hello") since ??= timer.now();
      if (frame.kind === "probe") say(JSON.stringify({ kind: "ack", n: frame.n }));
      else if (frame.kind === "error") told = frame;
      else onFrame(frame, say);
    });
    socket.addEventListener("close", ({ code, reason }) => end(toldEnd(code, reason, told)));
    // Whoever leaves while it opens has left already.
    if (signal.aborted) leave();
    void life.watch(pingMs, ended.signal).then(() => {
      if (ended.signal.aborted) return;
      socket.close(LEFT);
      end(LOST);
    });
  });
}

/** Signs of life to the room, and from it: a network that swallows everything closes no socket. */
class Life {
  readonly #timer: Timer;
  readonly #ping: () => void;
  #asked: number | undefined;

  constructor(timer: Timer, ping: () => void) {
    this.#timer = timer;
    this.#ping = ping;
  }

  heard(): void {
    this.#asked = undefined;
  }

  /** Resolves when the room does not answer any more, or the signal aborts. */
  async watch(everyMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // Waits may end early; an answer still has its time.
      if (this.#asked !== undefined && this.#timer.now() - this.#asked >= everyMs / 2) return;
      if (this.#asked === undefined) {
        this.#asked = this.#timer.now();
        this.#ping();
      }
      await this.#timer.wait(everyMs, signal);
    }
  }
}
