/**
 * The TypeScript tests, one project per folder; each project has a Postgres and stand-ins of its own.
 */
import { defineConfig } from "vitest/config";

const PROJECTS = ["stand-ins", "clients", "sql", "edge"];

/** Our own client is tried against the Workers of `edge`. */
const OWN_CLIENTS = { edge: ["clients/*/tests/**/*.test.ts"] };

export default defineConfig({
  test: {
    projects: PROJECTS.map((name) => ({
      test: {
        name,
        include: [`tests/${name}/**/*.test.ts`, ...(OWN_CLIENTS[name as "edge"] ?? [])],
        globalSetup: ["dev/world/setup.ts"],
        // A cold Worker on a busy two-core machine takes its time; a test that hangs still ends.
        testTimeout: 30_000,
        hookTimeout: 60_000,
      },
    })),
  },
});
