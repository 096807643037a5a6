/** The conformance suite as a run of its own: what fails in it is a finding of `durable_streams.test.ts`, not of the runner. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/clients/durable_streams_suite.ts"],
    testTimeout: 30_000,
    fileParallelism: false,
  },
});
