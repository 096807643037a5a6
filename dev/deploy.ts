/**
 * `npm run deploy`: migrates the production database and deploys the Worker, in this order, so that new code never meets
 * an old schema. Further arguments go to `wrangler deploy`.
 */
import { run } from "./command.ts";
import { migrate } from "./migrate.ts";
import { program } from "./paths.ts";

const url = process.env.DATABASE_URL;
if (!url) {
  console.error(`drey: set DATABASE_URL to the owner's connection string of the production database, on Neon's direct host
(without -pooler) and with sslmode=require: the migrations run there first. One deployment at a time: dbmate takes no lock.`);
  process.exit(1);
}
await migrate(url);
process.exitCode = await run(program("wrangler"), [
  "deploy",
  "--env",
  "production",
  ...process.argv.slice(2),
]);
