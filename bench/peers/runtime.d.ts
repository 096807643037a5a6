/**
 * The part of the Workers runtime that the peers use. `@cloudflare/workers-types` would redefine the globals that the
 * rest of this repository takes from `@types/node`; these few lines do not.
 */

declare module "cloudflare:workers" {
  export class DurableObject<Env> {
    constructor(state: unknown, env: Env);
    protected env: Env;
    protected ctx: HibernatingSockets;
  }
}

/** The part of an object's state that keeps sockets. */
interface HibernatingSockets {
  acceptWebSocket(socket: WebSocket, tags: string[]): void;
  getWebSockets(): WebSocket[];
  getTags(socket: WebSocket): string[];
}

declare var WebSocketPair: new () => { 0: WebSocket; 1: WebSocket };

interface DurableObjectNamespace<T> {
  /** Every method is a remote call. */
  getByName(name: string): {
    [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never;
  } & { fetch(request: string | Request): Promise<Response> };
}

interface ExecutionContext {
  waitUntil(work: Promise<unknown>): void;
  passThroughOnException(): void;
  props: unknown;
}

/** The part of `Cache` that the peers use. */
interface SharedCache {
  match(key: string): Promise<Response | undefined>;
  put(key: string, response: Response): Promise<void>;
}

/** `default` is the cache of the data centre. */
declare var caches: { default: SharedCache };
