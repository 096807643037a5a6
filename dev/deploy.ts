/**
 * `npm run deploy`: migrates the production database and deploys the Worker, in this order, so that new code never meets
 * an old schema. Between the two it drains the rooms. Further arguments go to `wrangler deploy`.
 */
import { join } from "node:path";
import { run } from "./command.ts";
import { drain } from "./drain.ts";
import { migrate } from "./migrate.ts";
import { program, ROOT } from "./paths.ts";

const url = process.env.DATABASE_URL;
if (!url) {
  console.error(`drey: set DATABASE_URL to the owner's connection string of the production database, on Neon's direct host
(without -pooler) and with sslmode=require: the migrations run there first. One deployment at a time: dbmate takes no lock.`);
  process.exit(1);
}
await migrate(url);
// Built now, wrangler finds nothing left to build: whoever is sent away waits for the upload alone.
if ((await run(process.execPath, [join(ROOT, "scripts", "build-worker.mjs")])) !== 0) process.exit(1);
await drainRooms();
process.exitCode = await run(program("wrangler"), [
  "deploy",
  "--env",
  "production",
  ...process.argv.slice(2),
]);

/** A room that cannot be drained holds no deploy up: it may be the one that repairs it. */
async function drainRooms(): Promise<void> {
  const { DREY_URL: api, OPERATOR_TOKEN: token } = process.env;
  if (!api || !token) {
    return console.log("drey: rooms are not drained, for DREY_URL and OPERATOR_TOKEN are not both set");
  }
  try {
    const { rooms, sockets, unreachable } = await drain(new URL(api).origin, token);
    console.log(`drey: drained ${sockets} sockets of ${rooms} rooms`);
    if (unreachable.length > 0) console.warn(`drey: rooms that did not answer: ${unreachable.join(", ")}`);
  } catch (error) {
    console.warn(`drey: rooms were not all drained: ${error}`);
  }
}
