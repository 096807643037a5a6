/**
 * A port that is taken: the message names who to ask.
 */
import { expect, test } from "vitest";
import { listen } from "../../dev/http.ts";
import { freePort, requireFreePort } from "../../dev/ports.ts";

test("a busy port is named with the process that holds it and the way out", async () => {
  const server = await listen(async () => {});
  const message = new RegExp(`port ${server.port} is taken by process ${process.pid} \\(.*PORT=`);
  await expect(requireFreePort(server.port)).rejects.toThrow(message);
  await expect(listen(async () => {}, server.port)).rejects.toThrow(message);
  await server.close();
});

test("a free port passes", async () => {
  await requireFreePort(await freePort());
});
