/**
 * `rate-limiter-flexible` on Redis, in a Node server of its own: `node flexible.ts <redis url> <limit> <window s>`.
 * Prints its address when it listens.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Redis } from "ioredis";
import { RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";

const [url = "", limit = "", window = ""] = process.argv.slice(2);
const storeClient = new Redis(url, { enableOfflineQueue: false, lazyConnect: true });
await storeClient.connect();
const limiter = new RateLimiterRedis({
  storeClient,
  keyPrefix: crypto.randomUUID(),
  points: Number(limit),
  duration: Number(window),
  // What its README advises against floods: the process remembers who is over.
  inMemoryBlockOnConsumed: Number(limit) + 1,
});

const server = createServer(async (request, response) => {
  const [allowed, verdict] = await limiter.consume(request.headers.authorization ?? "").then(
    (given) => [true, given],
    (refused) => [false, refused],
  );
  if (!(verdict instanceof RateLimiterRes)) return void response.writeHead(503).end(String(verdict));
  const seconds = Math.ceil(verdict.msBeforeNext / 1000);
  response.writeHead(allowed ? 200 : 429, {
    "content-type": "application/json",
    "ratelimit-policy": `"relaxed";q=${limit};w=${window}`,
    ratelimit: `"relaxed";r=${verdict.remainingPoints};t=${seconds}`,
    ...(allowed ? {} : { "retry-after": String(seconds) }),
  });
  response.end(JSON.stringify(allowed ? { allowed } : { code: "rate-limited" }));
});
server.listen(0, "127.0.0.1", () =>
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
);
process.once("disconnect", () => process.exit(0));
