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
}

export async function forwarder(): Promise<Forwarder> {
  const seen: string[] = [];
  const server = createServer(async (request, response) => {
    const parts: Uint8Array[] = [];
    for await (const part of request) parts.push(part as Uint8Array);
    const body = Buffer.concat(parts).toString();
    seen.push(body);
    const { host: _host, connection: _connection, "content-length": _length, ...headers } = request.headers;
    const answer = await fetch(world().neonUrl, {
      method: "POST",
      headers: headers as Record<string, string>,
      body,
    });
    response.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
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
    [Symbol.asyncDispose]: stop,
  };
}
