/**
 * No room: one frame a tick, the same text to every socket, and nothing else. No credential, no clock, no state that outlives
 * anything, nobody excluded from what he said himself. What it takes is what the runtime's sends take, so no room that tells
 * each tick to everybody takes less.
 */
import { DurableObject } from "cloudflare:workers";

interface Env {
  ROOM: DurableObjectNamespace<Room>;
}

/** drey's in a room of this size (core/src/presence/effect.rs). */
function tickOf(sockets: number): number {
  return 33 + (33 * sockets) / 1000;
}

export class Room extends DurableObject<Env> {
  /** By the client's id: the newest state as it was sent, `{"clock":…,"state":…}`. */
  readonly #untold = new Map<string, string>();

  fetch(request: Request): Response {
    const { 0: own, 1: theirs } = new WebSocketPair();
    this.ctx.acceptWebSocket(theirs, [new URL(request.url).searchParams.get("_pk") ?? ""]);
    theirs.send('{"type":"hello","peers":[]}');
    return new Response(null, { status: 101, webSocket: own } as ResponseInit);
  }

  webSocketMessage(socket: WebSocket, message: string): void {
    const [id = ""] = this.ctx.getTags(socket);
    if (this.#untold.size === 0) setTimeout(() => this.#tell(), tickOf(this.ctx.getWebSockets().length));
    this.#untold.set(id, message);
  }

  #tell(): void {
    const peers = [...this.#untold].map(([id, shown]) => `{"id":"${id}",${shown.slice(1)}`);
    this.#untold.clear();
    const text = `{"type":"peers","peers":[${peers.join(",")}]}`;
    for (const socket of this.ctx.getWebSockets()) socket.send(text);
  }
}

export default {
  fetch: (request: Request, env: Env): Promise<Response> => env.ROOM.getByName("room").fetch(request),
};
