/**
 * A way to the Neon stand-in that remembers what went through it: for what the stand-in cannot tell apart, such as which
 * of two databases was asked, or for which tenant a gate asked on its own.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { world } from "./world.ts";

export interface Forwarder extends AsyncDisposable {
  url: string;
  /** How many requests held all of these texts, in a statement or in a parameter. */
  count(...texts: string[]): number;
  /** Answers everything, or what holds this text, as Neon does when it cannot reach the database, until it is up again. */
  down(is: boolean, text?: string): void;
  /** Holds back the answers of requests with this text, after the database has given them, until released. */
  hold(text: string): { held(): number; release(): void };
}

interface Held {
  text: string;
  count: number;
  released: Promise<void>;
}

export async function forwarder(): Promise<Forwarder> {
  const seen: string[] = [];
  const holds: Held[] = [];
  let isDown = false;
  let downFor = "";
  const server = createServer(async (request, response) => {
    const parts: Uint8Array[] = [];
    for await (const part of request) parts.push(part as Uint8Array);
    const body = Buffer.concat(parts).toString();
    seen.push(body);
    if (isDown && body.includes(downFor)) {
      const message = "Control plane request failed: endpoint is temporarily unavailable";
      response.writeHead(500, { "content-type": "application/json" }).end(JSON.stringify({ message }));
      return;
    }
    const { host: _host, connection: _connection, "content-length": _length, ...headers } = request.headers;
    const answer = await fetch(world().neonUrl, {
      method: "POST",
      headers: headers as Record<string, string>,
      body,
    });
    const text = await answer.text();
    const held = holds.find((one) => body.includes(one.text));
    if (held) {
      held.count += 1;
      await held.released;
    }
    response.writeHead(answer.status, { "content-type": "application/json" }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/sql`,
    count: (...texts) => seen.filter((body) => texts.every((text) => body.includes(text))).length,
    down: (is, text = "") => {
      isDown = is;
      downFor = text;
    },
    hold: (text) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const held: Held = { text, count: 0, released: promise };
      holds.push(held);
      const release = () => {
        holds.splice(holds.indexOf(held), 1);
        resolve();
      };
      return { held: () => held.count, release };
    },
    [Symbol.asyncDispose]: stop,
  };
}
