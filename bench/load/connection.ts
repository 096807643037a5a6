/**
 * One HTTP/1.1 connection with keep-alive: sends a request, reads its whole answer, tells. Written for measuring: it
 * parses what it must and nothing else. Out of scope: TLS, pipelining, redirects.
 */
import { connect, type Socket } from "node:net";
import type { Received } from "../workload.ts";

const HEAD_END = Buffer.from("\r\n\r\n");

/** workerd closes a connection that has said nothing for five seconds: before that it is opened anew, as clients do. */
const IDLE_MS = 3_000;
/** Longer than any side waits by itself: a load that hears nothing ends, and says so. */
const SILENT_MS = 90_000;

export class Connection {
  readonly #host: string;
  readonly #port: number;
  #socket: Socket | undefined;
  #chunks: Buffer[] = [];
  #size = 0;
  /** An answer cannot be whole below this many bytes: until then chunks are kept and not looked at. */
  #least = 0;
  /** When it was opened, or last answered. */
  #used = 0;
  #done: ((received: Received) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.#host = hostname;
    this.#port = Number(port);
  }

  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
      socket.once("connect", () => {
        this.#used = performance.now();
        resolve();
      });
      socket.on("error", (error) => {
        reject(error);
        this.#failed?.(error);
      });
      socket.setTimeout(SILENT_MS, () => socket.destroy(new Error(`nothing was heard for ${SILENT_MS} ms`)));
      socket.on("close", () => this.#failed?.(new Error("the connection was closed")));
      socket.on("data", (chunk) => this.#take(chunk));
      this.#socket = socket;
    });
  }

  async send(request: Buffer | string): Promise<Received> {
    if (performance.now() - this.#used > IDLE_MS) await this.#openAnew();
    return await this.#exchange(request);
  }

  async #openAnew(): Promise<void> {
    this.#socket
      ?.removeAllListeners()
      .on("error", () => {})
      .destroy();
    await this.open();
  }

  #exchange(request: Buffer | string): Promise<Received> {
    return new Promise((resolve, reject) => {
      this.#done = resolve;
      this.#failed = reject;
      this.#socket?.write(request);
    });
  }

  close(): void {
    this.#failed = undefined;
    this.#socket?.destroy();
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size < this.#least) return;
    const buffer = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#size);
    const parsed = parse(buffer);
    const whole = typeof parsed !== "number";
    [this.#chunks, this.#size, this.#least] = whole ? [[], 0, 0] : [[buffer], buffer.length, parsed];
    if (!whole) return;
    const done = this.#done;
    this.#done = undefined;
    this.#failed = undefined;
    this.#used = performance.now();
    done?.(parsed);
  }
}

/** The answer, or how many bytes it has at least. There is never more than one in the buffer: nothing is pipelined. */
function parse(buffer: Buffer): Received | number {
  const end = buffer.indexOf(HEAD_END);
  if (end < 0) return buffer.length + 1;
  const head = buffer.toString("latin1", 0, end);
  const status = Number(head.slice(9, 12));
  const length = lengthOf(buffer, head, status, end + 4);
  if (length === undefined) return buffer.length + 1;
  return buffer.length < end + 4 + length ? end + 4 + length : { status, head, raw: buffer };
}

/** Of the body; undefined while a chunked one has not ended. */
function lengthOf(buffer: Buffer, head: string, status: number, from: number): number | undefined {
  if (status === 204 || status === 304) return 0;
  const declared = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (declared !== undefined) return Number(declared);
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) throw new Error(`an answer without a length:\n${head}`);
  for (let at = from; ; ) {
    const line = buffer.indexOf("\r\n", at);
    if (line < 0) return undefined;
    const size = Number.parseInt(buffer.toString("latin1", at, line), 16);
    at = line + 2 + size + 2;
    if (at > buffer.length) return undefined;
    if (size === 0) return at - from;
  }
}
