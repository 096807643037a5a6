/** Many at once: what must happen once happens once, what must be ordered is ordered. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import {
  atOnce,
  call,
  expectProblem,
  expectStatus,
  home,
  member,
  type OwnedWorkspace,
  trace,
  type User,
} from "./actors.ts";
import { holdWorkspace } from "./database.ts";
import { neonCounters } from "./neighbours.ts";
import { catchUp, type Device, device, mutation, push, workspaceScope } from "./pushes.ts";
import type { Page, Project, PushResult } from "./shapes.ts";
import { poll, world } from "./world.ts";

test("50 parallel posts with one key create one thing", async () => {
  const place = await home();
  const headers = { "idempotency-key": randomUUID() };
  const create = (index: number) => {
    const caller = { ...place.owner, api: isolate(index) };
    return call<Project>(caller, "POST", `/v1/workspaces/${place.id}/projects`, { name: "One" }, headers);
  };
  const answers = await atOnce(50, create);
  const created = answers.filter((answer) => answer.status === 201);
  const waiting = answers.filter((answer) => answer.status === 409);
  expect(created.length + waiting.length).toBe(50);
  expect(new Set(created.map((answer) => answer.text)).size).toBe(1);
  expect(created.filter((answer) => answer.headers.get("idempotent-replayed") === null)).toHaveLength(1);
  for (const answer of waiting) {
    expect(answer.body).toMatchObject({ code: "idempotency-in-flight", retry_after: 1 });
    expect(answer.headers.get("retry-after")).toBe("1");
  }
  const later = await poll("the replay", async () => {
    const answer = await create(0);
    return answer.status === 201 && answer;
  });
  expect(later.text).toBe(created[0]?.text);
  const list = await call<Page<Project>>(place.owner, "GET", `/v1/workspaces/${place.id}/projects`);
  expect(list.body.data).toEqual([later.body]);
});

test("a key whose first request is under way is 409 with Retry-After, and replays once that is done", async () => {
  const place = await home();
  const headers = { "idempotency-key": randomUUID() };
  const create = () =>
    call<Project>(place.owner, "POST", `/v1/workspaces/${place.id}/projects`, { name: "One" }, headers);
  const held = await holdWorkspace(place.id);
  const first = create();
  await poll("the first to wait", async () => (await held.waiting()) === 1);
  const second = await create();
  expect(expectProblem(second, 409, "idempotency-in-flight").retry_after).toBe(1);
  expect(second.headers.get("retry-after")).toBe("1");
  await held.release();
  const made = expectStatus(await first, 201);
  const replay = expectStatus(await create(), 201);
  expect(replay.body).toEqual(made.body);
  expect(replay.headers.get("idempotent-replayed")).toBe("true");
});

test("50 parallel creates with one slug make one thing", async () => {
  const place = await home();
  const answers = await atOnce(50, (index) => {
    const caller = { ...place.owner, api: isolate(index) };
    return call(caller, "POST", `/v1/workspaces/${place.id}/projects`, { name: "Slug", slug: "slug" });
  });
  expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1);
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([201, 409]));
});

test("20 pushers at once on one scope: gapless, unique, complete, one round trip each", async () => {
  const ROUNDS = 4;
  const BATCH = 5;
  const place = await home();
  const pushers = await tenPeopleWithTwoDevices(place);
  const outcomes = await Promise.all(pushers.map((one) => pushRounds(one, place, ROUNDS, BATCH)));
  const total = pushers.length * ROUNDS * BATCH;
  const epochs = outcomes.flat().flatMap((outcome) => outcome.epochs);
  expect(epochs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: total }, (_, index) => index + 1));
  expect(outcomes.flat().map((outcome) => outcome.roundTrips)).toEqual(outcomes.flat().map(() => 1));
  const messages = await catchUp(place.owner, place, workspaceScope(place));
  expect(messages.map((message) => message.headers.version)).toEqual(
    Array.from({ length: total }, (_, i) => i + 1),
  );
  const written = messages.map((message) => `${message.headers.client_id}/${message.headers.mutation_id}`);
  expect(new Set(written).size).toBe(total);
}, 60_000);

test("the same batch pushed by ten connections at once is applied once", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const batch = [mutation(one, scope), mutation(one, scope), mutation(one, scope)];
  const answers = await atOnce(10, (index) =>
    push({ ...one, user: { ...one.user, api: isolate(index) } }, batch),
  );
  for (const answer of answers) expect(expectStatus(answer, 200).body.last_mutation_id).toBe(3);
  const applied = answers.filter((answer) =>
    answer.body.results.every((result) => result.outcome === "applied"),
  );
  expect(applied).toHaveLength(1);
  expect(await catchUp(place.owner, place, scope)).toHaveLength(3);
});

test("two clients on one entity at once: one is applied, the other is told the winner's state", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const author = device(place.owner, place);
  const entity = { type: "request", id: "contested" };
  expectStatus(await push(author, [mutation(author, scope, { entity, value: { by: "author" } })]), 200);
  const rivals = [device(place.owner, place), device(place.owner, place)];
  const answers = await Promise.all(
    rivals.map((rival, index) =>
      push({ ...rival, user: { ...rival.user, api: isolate(index) } }, [
        mutation(rival, scope, { entity, base_version: 1, value: { by: rival.clientId } }),
      ]),
    ),
  );
  const results = answers.map((answer) => expectStatus(answer, 200).body.results[0]);
  expect(results.map((result) => result?.outcome).sort()).toEqual(["applied", "diverged"]);
  const winner = rivals[results.findIndex((result) => result?.outcome === "applied")];
  expect(results.find((result) => result?.outcome === "diverged")).toMatchObject({
    version: 2,
    value: { by: winner?.clientId },
  });
});

interface Outcome {
  epochs: number[];
  roundTrips: number;
}

async function pushRounds(
  one: Device,
  place: OwnedWorkspace,
  rounds: number,
  size: number,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const mine = trace();
    const batch = Array.from({ length: size }, () => mutation(one, workspaceScope(place)));
    const answer = expectStatus(await push(one, batch, { traceparent: mine.traceparent }), 200);
    outcomes.push({ epochs: appliedEpochs(answer.body), roundTrips: (await neonCounters(mine.id)).requests });
  }
  return outcomes;
}

function appliedEpochs(result: PushResult): number[] {
  return result.results.map((one) => {
    expect(one.outcome).toBe("applied");
    return Number(one.epoch);
  });
}

/** Each reads once before: the first sight of a token by an isolate, and of a caller by the gate, is no part of a push. */
async function tenPeopleWithTwoDevices(place: OwnedWorkspace): Promise<Device[]> {
  const people: User[] = [place.owner];
  while (people.length < 10) people.push(await member(place, "editor"));
  const devices = people.flatMap((one, index) => [
    device({ ...one, api: isolate(index) }, place),
    device({ ...one, api: isolate(index + 1) }, place),
  ]);
  await Promise.all(devices.map((one) => call(one.user, "GET", `/v1/workspaces/${place.id}`)));
  return devices;
}

function isolate(index: number): string {
  return world().apis[index % 3] ?? world().api;
}
