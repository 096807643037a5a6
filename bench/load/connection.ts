/**
 * One HTTP/1.1 connection with keep-alive: sends a request, reads its whole answer, tells. Written for measuring: it
 * parses what it must and nothing else. Out of scope: TLS, pipelining, redirects.
 */
import { connect, type Socket } from "node:net";

export interface Received {
  status: number;
  head: string;
  /** Head and body as they came over the wire. */
  raw: Buffer;
}

const EMPTY = Buffer.alloc(0);
const HEAD_END = Buffer.from("\r\n\r\n");

export class Connection {
  readonly #host: string;
  readonly #port: number;
  #socket: Socket | undefined;
  #buffer: Buffer = EMPTY;
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
      socket.once("connect", resolve);
      socket.on("error", (error) => {
        reject(error);
        this.#failed?.(error);
      });
      socket.on("close", () => this.#failed?.(new Error("the connection was closed")));
      socket.on("data", (chunk) => this.#take(chunk));
      this.#socket = socket;
    });
  }

  send(request: Buffer | string): Promise<Received> {
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
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    const received = parse(this.#buffer);
    if (!received) return;
    this.#buffer = EMPTY;
    const done = this.#done;
    this.#done = undefined;
    this.#failed = undefined;
    done?.(received);
  }
}

/** Undefined until the answer is whole. There is never more than one in the buffer: nothing is pipelined. */
function parse(buffer: Buffer): Received | undefined {
  const end = buffer.indexOf(HEAD_END);
  if (end < 0) return undefined;
  const head = buffer.toString("latin1", 0, end);
  const status = Number(head.slice(9, 12));
  const length = lengthOf(buffer, head, status, end + 4);
  if (length === undefined || buffer.length < end + 4 + length) return undefined;
  return { status, head, raw: buffer };
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
