/**
 * The TypeScript tests, one project per folder; each project has a Postgres and stand-ins of its own.
 */
import { defineConfig } from "vitest/config";

const PROJECTS = ["stand-ins", "clients", "sql", "edge"];

export default defineConfig({
  test: {
    projects: PROJECTS.map((name) => ({
      test: {
        name,
        include: [`tests/${name}/**/*.test.ts`],
        globalSetup: ["dev/world/setup.ts"],
        // A cold Worker on a busy two-core machine takes its time; a test that hangs still ends.
        testTimeout: 30_000,
        hookTimeout: 60_000,
      },
    })),
  },
});
