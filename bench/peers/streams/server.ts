/**
 * The server of Durable Streams' authors, in memory, as its README starts it: `node server.ts`. Prints its address when it
 * listens.
 */
import { DurableStreamTestServer } from "@durable-streams/server";

console.log(await new DurableStreamTestServer({ port: 0 }).start());
process.once("disconnect", () => process.exit(0));
