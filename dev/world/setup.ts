/**
 * Vitest's global set-up: the services for every project, and the Worker three times for the project `edge`.
 * All of it ends with the run, which fails if a secret then stands where none may (`leaks.ts`).
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { uniqueName } from "../database.ts";
import { stopForgotten } from "../processes.ts";
import { type Services, startServices } from "../services.ts";
import type { World } from "./addresses.ts";
import { type Control, startControl } from "./control.ts";

/** What is true across isolates shows only with more than two: one may have told just one other. */
const ISOLATES = 3;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // What a run that was killed left behind.
  await stopForgotten();
  const undo: (() => Promise<void>)[] = [];
  const stop = async () => {
    const failures: unknown[] = [];
    // One that fails, as a leak makes the control do, leaves none of the others running.
    for (const step of undo.splice(0).reverse()) await step().catch((error) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  };
  try {
    const data = await mkdtemp(join(tmpdir(), "drey-test-"));
    undo.push(() => rm(data, { recursive: true, force: true }));
    const services = await startServices({ data, database: uniqueName("world"), disposable: true });
    undo.push(() => services.stop());
    const kept = await mkdtemp(join(tmpdir(), "drey-kept-"));
    undo.push(() => rm(kept, { recursive: true, force: true }));
    const control = await startControl(services, kept);
    undo.push(() => control.close());
    project.provide("world", await worldOf(project.name, services, control));
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}

async function worldOf(project: string, services: Services, control: Control): Promise<World> {
  const cell = project === "edge" ? await control.startCell({}, ISOLATES) : { apis: [], cell: "" };
  return {
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
    operatorToken: services.vars.OPERATOR_TOKEN ?? "",
  };
}
