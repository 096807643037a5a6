/** Redis as the second cache: what it gives, and that what it withholds, breaks or makes up costs a miss. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type Answer,
  call,
  expectProblem,
  expectStatus,
  home,
  type OwnedWorkspace,
  orgMember,
  project,
} from "./actors.ts";
import { redis, redisFault } from "./neighbours.ts";
import type { Page, Project } from "./shapes.ts";
import { type OwnCell, poll, world } from "./world.ts";

/** Workers with empty memories and a data centre's cache of their own: what they have in common with the others is Redis. */
let elsewhere: OwnCell;

beforeAll(async () => {
  // Patient, so that a busy machine is not taken for a slow Redis.
  elsewhere = await world().restart({ REDIS_GET_MS: "5000" });
});
afterAll(() => elsewhere.stop());

test("a copy that other Workers made is found in Redis", async () => {
  const place = await kept();
  expect(await levelElsewhere(place)).toBe("drey; hit; detail=redis");
});

test("an absence that other Workers found is known in Redis, until the thing comes", async () => {
  const place = await home();
  const guest = await orgMember({ id: place.org_id, owner: place.owner }, "member");
  const path = `/v1/workspaces/${place.id}/members/${guest.id}`;
  expectProblem(await call(place.owner, "GET", path), 404, "not-found");
  await poll("the mark in Redis", async () => (await keysOf(place)).length > 0);
  const ttl = Number(await redis("TTL", (await keysOf(place))[0]));
  expect([ttl > 20, ttl <= 33]).toEqual([true, true]);
  const there = { ...place.owner, api: elsewhere.api };
  const answer = await call(there, "GET", path);
  expectProblem(answer, 404, "not-found");
  expect(answer.headers.get("cache-status")).toBe("drey; hit; detail=absent");
  const put = expectStatus(await call(place.owner, "PUT", path, { role: "viewer" }), 200);
  const revision = { "x-drey-revision": String(put.headers.get("x-drey-revision")) };
  expectStatus(await call(there, "GET", path, undefined, revision), 200);
});

test.each(["status500", "drop"] as const)("a Redis that fails once with %s is asked again", async (kind) => {
  const place = await kept();
  const fault = await redisFault({ kind, match: `"GET","${prefix(place)}` });
  expect(await levelElsewhere(place)).toBe("drey; hit; detail=redis");
  expect(await fault.fired()).toBe(1);
});

test("garbage is not asked for again, and failures end with the time they may take", async () => {
  const place = await kept();
  const garbage = await redisFault({ kind: "garbage", match: `"GET","${prefix(place)}`, times: 9 });
  expect(await levelElsewhere(place)).toBe("drey; fwd=miss");
  expect(await garbage.fired()).toBe(1);
  const other = await kept();
  const failing = await redisFault({ kind: "status500", match: `"GET","${prefix(other)}`, times: 99 });
  expect(await levelElsewhere(other)).toBe("drey; fwd=miss");
  expect(await failing.fired()).toBeLessThanOrEqual(3);
});

test("a copy that could not be stored at first is stored by a repetition", async () => {
  const place = await home();
  const fault = await redisFault({ kind: "drop", match: `"SET","${prefix(place)}` });
  expectStatus(await projects(place, place.owner.api), 200);
  await poll("the copy in Redis", async () => (await keysOf(place)).length > 0);
  expect(await fault.fired()).toBe(1);
});

test.each<[string, (own: string, foreign: string) => unknown[]]>([
  ["another tenant's copy", (own, foreign) => ["SET", own, foreign]],
  ["a copy that was cut off", (own) => ["SET", own, "1 00\n[]\n{"]],
  ["an empty text", (own) => ["SET", own, ""]],
  ["more than any copy", (own) => ["SET", own, "x".repeat(5_000_000)]],
  ["a value of another type", (own) => ["HSET", own, "field", "value"]],
])("%s in place of a copy is a miss", async (_what, lie) => {
  const [place, foreign] = [await kept(), await kept()];
  const [own] = await keysOf(place);
  const [other] = await keysOf(foreign);
  const text = (await redis("GET", other)) as string;
  expect(text).toContain(foreign.id);
  await redis("DEL", own);
  await redis(...lie(String(own), text));
  const answer = await projects(place, elsewhere.api);
  expect(expectStatus(answer, 200).headers.get("cache-status")).toBe("drey; fwd=miss");
  expect(answer.text).toContain(place.id);
  expect(answer.text).not.toContain(foreign.id);
});

/** A workspace with a project, whose list of projects is in Redis. */
async function kept(): Promise<OwnedWorkspace> {
  const place = await home();
  await project(place);
  await call(place.owner, "GET", `/v1/workspaces/${place.id}/projects`);
  await poll("the copy in Redis", async () => (await keysOf(place)).length > 0);
  return place;
}

async function levelElsewhere(place: OwnedWorkspace): Promise<string | null> {
  return expectStatus(await projects(place, elsewhere.api), 200).headers.get("cache-status");
}

function projects(place: OwnedWorkspace, api: string): Promise<Answer<Page<Project>>> {
  return call<Page<Project>>({ ...place.owner, api }, "GET", `/v1/workspaces/${place.id}/projects`);
}

function prefix(place: OwnedWorkspace): string {
  return `drey:development/1/${place.id}/`;
}

async function keysOf(place: OwnedWorkspace): Promise<string[]> {
  const keys: string[] = [];
  let cursor = "0";
  do {
    const [next, found] = (await redis("SCAN", cursor, "MATCH", `${prefix(place)}*`, "COUNT", 1000)) as [
      string,
      string[],
    ];
    keys.push(...found);
    cursor = next;
  } while (cursor !== "0");
  return keys;
}
