/** What `durable_streams.test.ts` runs against its adapter. */
import { runConformanceTests } from "@durable-streams/server-conformance-tests";

runConformanceTests({
  baseUrl: process.env.DREY_STREAMS ?? "",
  longPollTimeoutMs: Number(process.env.DREY_LONG_POLL_MS),
  subscriptions: false,
});
