/** Sockets of one client that a test can look into, cut, refuse and silence. */
import type { Sockets } from "../src/presence/index.ts";
import { JudgedSocket } from "./judged.ts";

type Told = Record<string, unknown>;

export interface Wires {
  Socket: Sockets;
  /** How many have opened so far. */
  opened: number;
  /** The JSON frames that came, and those that were sent, in order. */
  heard: Told[];
  said(kind: string): Told[];
  /** Everything is swallowed, in both directions. */
  isMute: boolean;
  /** No socket opens. */
  isRefused: boolean;
  /** Ends all connections, as a network does that goes away. */
  cut(): void;
}

export function wires(): Wires {
  const sent: Told[] = [];
  const all: WebSocket[] = [];
  const own: Wires = {
    opened: 0,
    heard: [],
    isMute: false,
    isRefused: false,
    said: (kind) => sent.filter((frame) => frame.kind === kind),
    cut: () => {
      for (const socket of all.splice(0)) {
        socket.dispatchEvent(new CloseEvent("close", { code: 1006 }));
        socket.close(1000);
      }
    },
    Socket: class extends JudgedSocket {
      constructor(url: string, protocols: string[]) {
        super(own.isRefused ? "ws://127.0.0.1:9" : url, protocols);
        all.push(this);
        super.addEventListener("open", () => {
          own.opened += 1;
        });
        super.addEventListener("message", (event) => {
          if (own.isMute) event.stopImmediatePropagation();
          else own.heard.push(parsed(event.data));
        });
      }

      override send(data: string): void {
        if (own.isMute) return;
        sent.push(parsed(data));
        super.send(data);
      }
    },
  };
  return own;
}

function parsed(text: string): Told {
  return text.startsWith("{") ? (JSON.parse(text) as Told) : { kind: text };
}
