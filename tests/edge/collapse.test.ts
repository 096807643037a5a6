/** Reads that ask the same at once: one asks Postgres, and what he gets is everybody's. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type Answer,
  atOnce,
  call,
  expectProblem,
  expectStatus,
  home,
  nowhere,
  type OwnedWorkspace,
  project,
  trace,
} from "./actors.ts";
import { neonCounters, neonFault } from "./neighbours.ts";
import { type OwnCell, world } from "./world.ts";

const READERS = 20;
let patient: OwnCell;
let hurried: OwnCell;

beforeAll(async () => {
  patient = await world().restart({ COLLAPSE_MS: "5000" });
  hurried = await world().restart({ COLLAPSE_MS: "100" });
});
afterAll(async () => {
  await patient.stop();
  await hurried.stop();
});

test("of twenty equal reads one asks Postgres, and each answer carries ids of its own", async () => {
  const place = await warm(patient);
  const mine = trace();
  const slow = await neonFault({ kind: "latency", latency_ms: 3_000, match: mine.id });
  const answers = await atOnce(READERS, () => projects(place, mine.traceparent));
  for (const answer of answers) expectStatus(answer, 200);
  expect(await slow.fired()).toBe(1);
  expect((await neonCounters(mine.id)).requests).toBe(1);
  expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
  expect(new Set(answers.map((answer) => answer.headers.get("x-request-id"))).size).toBe(READERS);
  expect(new Set(answers.map((answer) => answer.headers.get("traceparent"))).size).toBe(READERS);
  expect(levels(answers)).toEqual(
    [...Array(READERS - 1).fill("drey; fwd=miss; collapsed"), "drey; fwd=miss"].sort(),
  );
});

test("what is not there is asked for once as well", async () => {
  const place = await warm(patient);
  const mine = trace();
  await neonFault({ kind: "latency", latency_ms: 300, match: mine.id });
  const path = `/v1/workspaces/${place.id}/projects/${nowhere("prj")}`;
  const answers = await atOnce(READERS, () =>
    call(place.owner, "GET", path, undefined, { traceparent: mine.traceparent }),
  );
  const ids = answers.map((answer) => expectProblem(answer, 404, "not-found").request_id);
  expect(new Set(ids).size).toBe(READERS);
  expect((await neonCounters(mine.id)).requests).toBe(1);
});

test("when the one who asks fails, another asks, and his failure is his alone", async () => {
  const place = await warm(patient);
  const mine = trace();
  // A batch is tried three times: the first who asks gets nothing.
  await neonFault({ kind: "status500", times: 3, match: mine.id });
  const answers = await atOnce(READERS, () => projects(place, mine.traceparent));
  const failed = answers.filter((answer) => answer.status !== 200);
  expect(failed.map((answer) => answer.status)).toEqual([503]);
  expect((await neonCounters(mine.id)).requests).toBeLessThanOrEqual(4);
});

test("nobody waits longer than he may", async () => {
  const place = await warm(hurried);
  const mine = trace();
  await neonFault({ kind: "latency", latency_ms: 3_000, match: mine.id });
  const since = Date.now();
  const waited = await atOnce(5, async () => {
    expectStatus(await projects(place, mine.traceparent), 200);
    return Date.now() - since;
  });
  expect(waited.filter((ms) => ms < 2_000).length).toBe(4);
});

/** A workspace whose caller is known to isolate and gate, and whose list nobody has read. */
async function warm(cell: OwnCell): Promise<OwnedWorkspace> {
  const place = await home(cell.api);
  await project(place);
  expectStatus(await call(place.owner, "GET", `/v1/workspaces/${place.id}`), 200);
  return place;
}

function projects(place: OwnedWorkspace, traceparent: string): Promise<Answer<unknown>> {
  return call<unknown>(place.owner, "GET", `/v1/workspaces/${place.id}/projects`, undefined, { traceparent });
}

function levels(answers: Answer<unknown>[]): (string | null)[] {
  return answers.map((answer) => answer.headers.get("cache-status")).sort();
}
