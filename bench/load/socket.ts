/**
 * The client half of a WebSocket (RFC 6455), as thin as it can be: the load has to read a hundred thousand frames a second beside
 * the Worker that sends them. No extensions, no fragments, which neither side uses; anything else ends it.
 */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

const [TEXT, CLOSE] = [0x1, 0x8];
/** How long an upgrade may take. */
const PATIENCE_MS = 30_000;

export interface Hearing {
  onText(text: string): void;
  /** Also for a connection that ends without a word. */
  onEnd(why: string): void;
}

export class ThinSocket {
  readonly #socket: Socket;
  #rest: Buffer = Buffer.of();

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static open(url: string, token: string, hearing: Hearing): Promise<ThinSocket> {
    const { hostname, port, pathname, search } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    const own = new ThinSocket(socket);
    const lines = [
      `GET ${pathname}${search} HTTP/1.1`,
      `host: ${hostname}:${port}`,
      `authorization: Bearer ${token}`,
      "connection: Upgrade",
      "upgrade: websocket",
      "sec-websocket-version: 13",
      `sec-websocket-key: ${randomBytes(16).toString("base64")}`,
    ];
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    return new Promise((resolve, reject) => {
      socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error(`no answer to ${pathname}`)));
      socket.on("error", (error) => {
        hearing.onEnd(error.message);
        reject(error);
      });
      let head = Buffer.of();
      const upgraded = (chunk: Buffer) => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        if (!head.subarray(0, 12).equals(Buffer.from("HTTP/1.1 101"))) {
          socket.destroy(new Error(`the upgrade was refused: ${head.toString()}`));
          return;
        }
        socket.setTimeout(0);
        socket.off("data", upgraded);
        socket.on("data", (more: Buffer) => own.#read(more, hearing));
        socket.on("close", () => hearing.onEnd("the connection ended"));
        own.#read(head.subarray(end + 4), hearing);
        resolve(own);
      };
      socket.on("data", upgraded);
    });
  }

  /** A masked text frame. The mask is zero: it protects proxies, and there is none. */
  send(text: string): void {
    const length = Buffer.byteLength(text);
    const long = length > 125;
    const frame = Buffer.alloc((long ? 8 : 6) + length);
    frame[0] = 0x80 | TEXT;
    frame[1] = 0x80 | (long ? 126 : length);
    if (long) frame.writeUInt16BE(length, 2);
    frame.write(text, frame.length - length);
    this.#socket.write(frame);
  }

  #read(chunk: Buffer, hearing: Hearing): void {
    const data = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    let at = 0;
    for (;;) {
      const frame = frameAt(data, at);
      if (!frame) break;
      at = frame.end;
      if (frame.opcode === TEXT) hearing.onText(data.toString("latin1", frame.start, frame.end));
      else hearing.onEnd(endOf(frame, data));
    }
    this.#rest = at < data.length ? Buffer.from(data.subarray(at)) : Buffer.of();
  }
}

interface Frame {
  opcode: number;
  start: number;
  end: number;
}

/** The frame that begins there, once all of it has come. */
function frameAt(data: Buffer, at: number): Frame | undefined {
  const short = (data[at + 1] ?? 0) & 0x7f;
  const head = short === 127 ? 10 : short === 126 ? 4 : 2;
  if (data.length < at + head) return undefined;
  const length =
    short === 127 ? Number(data.readBigUInt64BE(at + 2)) : short === 126 ? data.readUInt16BE(at + 2) : short;
  const start = at + head;
  const end = start + length;
  return data.length < end ? undefined : { opcode: (data[at] ?? 0) & 0xf, start, end };
}

function endOf({ opcode, start, end }: Frame, data: Buffer): string {
  if (opcode !== CLOSE || end - start < 2) return `a frame of opcode ${opcode}`;
  return `closed with ${data.readUInt16BE(start)} ${data.subarray(start + 2, end).toString()}`;
}
