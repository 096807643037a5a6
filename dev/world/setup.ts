/**
 * Vitest's global set-up: the services for every project, and the Worker three times for the project `edge`. All of it ends with the run.
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { uniqueName } from "../database.ts";
import { startServices } from "../services.ts";
import type { Cell } from "./addresses.ts";
import { type Control, startControl } from "./control.ts";

const ISOLATES = 3;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const data = await mkdtemp(join(tmpdir(), "drey-test-"));
  const services = await startServices({ data, database: uniqueName("world"), disposable: true });
  const control = await startControl(services);
  const stop = async () => {
    await control.close();
    await services.stop();
  };
  try {
    const cell = await startCell(project, control);
    project.provide("world", {
      ...cell,
      control: control.url,
      issuer: services.issuer.url,
      neonUrl: services.neon.sql,
      neonConnection: services.neonConnection,
      neonAdmin: services.neon.admin,
      redisUrl: services.redis.url,
      redisToken: services.redis.token,
      redisAdmin: services.redis.admin,
      databaseUrl: services.database.url,
      appDatabaseUrl: services.database.appUrl,
    });
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startCell(project: TestProject, control: Control): Promise<Cell> {
  return project.name === "edge" ? control.startCell({}, ISOLATES) : { apis: [], cell: "" };
}
