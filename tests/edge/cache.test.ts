/** What a repeated read costs, and that no cached answer outlives its truth or leaves its tenant. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import {
  type Answer,
  call,
  expectProblem,
  expectStatus,
  home,
  member,
  orgMember,
  project,
  trace,
  type User,
} from "./actors.ts";
import { neonCounters } from "./neighbours.ts";
import type { Org, Page, Project } from "./shapes.ts";
import { poll, world } from "./world.ts";

test("a repeated read is a HIT without any query, byte for byte the first answer", async () => {
  const place = await home();
  await project(place);
  const path = `/v1/workspaces/${place.id}/projects`;
  const first = expectStatus(await call(place.owner, "GET", path), 200);
  expect(first.headers.get("x-cache")).toBe("MISS");
  const hit = await untilHit(place.owner, path);
  expect(hit.answer.text).toBe(first.text);
  expect(hit.answer.headers.get("etag")).toBe(first.headers.get("etag"));
  expect(hit.answer.headers.get("cache-status")).toMatch(/^drey; ?hit/);
  expect(hit.requests).toBe(0);
});

test("tenant data is private on the wire, hit or miss", async () => {
  const place = await home();
  const path = `/v1/workspaces/${place.id}`;
  const miss = await call(place.owner, "GET", path);
  const { answer: hit } = await untilHit(place.owner, path);
  for (const answer of [miss, hit]) {
    expect(answer.headers.get("cache-control")).toBe("private, no-cache");
    expect(varyOf(answer)).toEqual(expect.arrayContaining(["authorization", "x-api-key"]));
    expect(answer.headers.get("set-cookie")).toBeNull();
  }
});

test("a write makes the cached list untrue for its writer at once", async () => {
  const place = await home();
  const path = `/v1/workspaces/${place.id}/projects`;
  await untilHit(place.owner, path);
  const made = await call<Project>(place.owner, "POST", path, { name: "New" });
  const revision = { "x-drey-revision": String(made.headers.get("x-drey-revision")) };
  for (const api of world().apis) {
    const list = await call<Page<Project>>({ ...place.owner, api }, "GET", path, undefined, revision);
    expect(expectStatus(list, 200).body.data.map((one) => one.id)).toEqual([made.body.id]);
  }
});

test("without a revision a list is stale for at most a second on any isolate", async () => {
  const place = await home();
  const path = `/v1/workspaces/${place.id}/projects`;
  for (const api of world().apis) await call({ ...place.owner, api }, "GET", path);
  const made = await project(place);
  const end = Date.now() + 1_000 + 500;
  for (const api of world().apis) {
    const shows = async () => {
      const list = await call<Page<Project>>({ ...place.owner, api }, "GET", path);
      return list.body.data.some((one) => one.id === made.id);
    };
    await poll(`the project on ${api}`, shows, end - Date.now());
  }
});

test("a revision that Postgres has not reached is refused, a malformed one too", async () => {
  const place = await home();
  const path = `/v1/workspaces/${place.id}`;
  const ahead = { "x-drey-revision": "1000000" };
  expectProblem(await call(place.owner, "GET", path, undefined, ahead), 400, "revision-unknown");
  for (const malformed of ["soon", "-1", "1.5", "99999999999999999999999"]) {
    const answer = await call(place.owner, "GET", path, undefined, { "x-drey-revision": malformed });
    expect(answer.status, `${malformed}: ${answer.text}`).toBe(400);
  }
});

test("what an admin's read cached is not what a viewer or a stranger gets", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const audit = `/v1/workspaces/${place.id}/audit`;
  await untilHit(place.owner, audit);
  expectProblem(await call(viewer, "GET", audit), 403, "forbidden");
  const path = `/v1/workspaces/${place.id}`;
  await untilHit(place.owner, path);
  expect((await call<{ role: string }>(viewer, "GET", path)).body.role).toBe("viewer");
  expectProblem(await call((await home()).owner, "GET", path), 404, "not-found");
  expectProblem(await call(null, "GET", path), 401, "unauthenticated");
});

test("another query is another answer, its parameters' order is not", async () => {
  const place = await home();
  const [older] = [await project(place), await project(place)];
  const path = `/v1/workspaces/${place.id}/projects`;
  const first = await call<Page<Project>>(place.owner, "GET", `${path}?limit=1`);
  const cursor = first.body.next_cursor;
  await untilHit(place.owner, `${path}?limit=1`);
  const second = await call<Page<Project>>(place.owner, "GET", `${path}?limit=1&cursor=${cursor}`);
  expect(second.body.data.map((one) => one.id)).toEqual([older.id]);
  const { answer: turned } = await untilHit(place.owner, `${path}?cursor=${cursor}&limit=1`);
  expect(turned.text).toBe(second.text);
});

test("If-None-Match answers 304 with the ETag and without a body, from list and item", async () => {
  const place = await home();
  const made = await project(place);
  for (const path of [
    `/v1/workspaces/${place.id}/projects`,
    `/v1/workspaces/${place.id}/projects/${made.id}`,
  ]) {
    const etag = String((await call(place.owner, "GET", path)).headers.get("etag"));
    expect(etag).toMatch(/^"[^"]+"$/);
    for (const condition of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const answer = await call(place.owner, "GET", path, undefined, { "if-none-match": condition });
      expect([condition, answer.status, answer.text]).toEqual([condition, 304, ""]);
      expect(answer.headers.get("etag")).toBe(etag);
      expect(answer.headers.get("cache-control")).toBe("private, no-cache");
    }
    const other = await call(place.owner, "GET", path, undefined, { "if-none-match": '"other"' });
    expect(other.status).toBe(200);
  }
});

test("a colleague's new name and address show in the next read of the members, wherever it is made", async () => {
  const place = await home();
  const joined = await member(place, "viewer");
  const path = `/v1/workspaces/${place.id}/members`;
  const items = [path, `${path}/${joined.id}`];
  const tags = new Map<string, string>();
  for (const item of items) {
    tags.set(item, String((await call(place.owner, "GET", item)).headers.get("etag")));
    expectStatus(await call(place.owner, "GET", item), 200);
  }
  const claims = { sub: joined.sub, email: `new-${joined.email}`, name: "New name" };
  const renamed = { ...joined, token: await world().token(claims) };
  expectStatus(await call(renamed, "GET", "/v1/me"), 200);
  for (const item of items) {
    const answer = await call(place.owner, "GET", item, undefined, { "if-none-match": tags.get(item) ?? "" });
    expect(expectStatus(answer, 200).text).toContain('"New name"');
    expect(answer.text).toContain(claims.email);
  }
});

test("what an item shows of other rows is in its ETag, and its version still guards its changes", async () => {
  const place = await home();
  const guest = await orgMember({ id: place.org_id, owner: place.owner }, "member");
  const org = `/v1/orgs/${place.org_id}`;
  const before = await call<Org>(guest, "GET", org);
  const role = { role: "admin" };
  const raised = await call(place.owner, "PUT", `${org}/members/${guest.id}`, role);
  const seen = { "x-drey-revision": String(raised.headers.get("x-drey-revision")) };
  const tag = String(before.headers.get("etag"));
  const after = await call<Org>(guest, "GET", org, undefined, { ...seen, "if-none-match": tag });
  expect([after.status, after.body.role, after.body.version]).toEqual([200, "admin", before.body.version]);
  for (const held of [tag, `"other", ${tag}`, String(after.headers.get("etag"))]) {
    const path = `${org}/members/${place.owner.id}`;
    expect((await call(guest, "GET", path, undefined, { "if-none-match": held })).status).toBe(200);
  }
  const renamed = await call<Org>(guest, "PATCH", org, { name: "One" }, { ...seen, "if-match": tag });
  expect(expectStatus(renamed, 200).body.version).toBe(2);
  expectProblem(
    await call(guest, "PATCH", org, { name: "Two" }, { "if-match": tag }),
    412,
    "precondition-failed",
  );
});

test("If-Match holds when one of its tags does, fails when none can, and is refused when it is none", async () => {
  const place = await home();
  const made = await project(place);
  const path = `/v1/workspaces/${place.id}/projects/${made.id}`;
  const rename = (condition: string) =>
    call<Project>(place.owner, "PATCH", path, { name: `As ${condition.length}` }, { "if-match": condition });
  expect(expectStatus(await rename('"9", "1"'), 200).body.version).toBe(2);
  for (const stale of ['W/"2"', '"1", "3"', '"02"', '"+2"', '"two"', '"1.abcdefghijk"']) {
    expectProblem(await rename(stale), 412, "precondition-failed");
  }
  for (const malformed of ["2", '"2', '"2" "3"', ",", "*, *"]) {
    const problem = expectProblem(await rename(malformed), 400, "invalid-parameter");
    expect(problem.errors).toEqual([{ pointer: "if-match", detail: expect.any(String) }]);
  }
  expect(expectStatus(await rename("*"), 200).body.version).toBe(3);
});

test("reads name the revision they were made at", async () => {
  const place = await home();
  const made = await project(place);
  const path = `/v1/workspaces/${place.id}`;
  for (const read of [
    path,
    `${path}/projects`,
    `${path}/projects/${made.id}`,
    `${path}/members`,
    `${path}/audit`,
  ]) {
    const answer = expectStatus(await call(place.owner, "GET", read), 200);
    expect([read, answer.headers.get("x-drey-revision")]).toEqual([read, "2"]);
    expect("revision" in (answer.body as object)).toBe(false);
  }
  const { answer: hit } = await untilHit(place.owner, path);
  expect(hit.headers.get("x-drey-revision")).toBe("2");
});

test("what is not there costs one query, is never stored outside, and shows at once when it comes", async () => {
  const place = await home();
  const guest = await orgMember({ id: place.org_id, owner: place.owner }, "member");
  const path = `/v1/workspaces/${place.id}/members/${guest.id}`;
  const first = await call(place.owner, "GET", path);
  expect(first.headers.get("cache-status")).toBe("drey; fwd=miss");
  const mine = trace();
  const again = await call(place.owner, "GET", path, undefined, { traceparent: mine.traceparent });
  const [one, other] = [expectProblem(first, 404, "not-found"), expectProblem(again, 404, "not-found")];
  expect(again.headers.get("cache-status")).toBe("drey; hit; detail=absent");
  expect((await neonCounters(mine.id)).requests).toBe(0);
  expect({ ...one, request_id: "" }).toEqual({ ...other, request_id: "" });
  expect(one.request_id).not.toBe(other.request_id);
  const put = await call(place.owner, "PUT", `${path}`, { role: "viewer" });
  const end = Date.now() + 1_000 + 500;
  const revision = { "x-drey-revision": String(put.headers.get("x-drey-revision")) };
  expectStatus(await call(place.owner, "GET", path), 200);
  for (const api of world().apis) {
    expectStatus(await call({ ...place.owner, api }, "GET", path, undefined, revision), 200);
    const isThere = async () => (await call({ ...place.owner, api }, "GET", path)).status === 200;
    await poll(`the member on ${api}`, isThere, end - Date.now());
  }
});

test("of documents no absence is kept: their scopes come without a new revision", async () => {
  const place = await home();
  const path = `/v1/workspaces/${place.id}/sync/collection/later`;
  for (let n = 0; n < 2; n += 1) {
    const answer = await call(place.owner, "GET", path);
    expectProblem(answer, 404, "not-found");
    expect(answer.headers.get("cache-status")).toBe("drey; fwd=miss");
  }
});

test("whichever level answers, ids, trace and limits are the request's own", async () => {
  const place = await home();
  const [here, there] = [place.owner, { ...place.owner, api: world().apis[1] }];
  await using cell = await world().restart({});
  const afar = { ...place.owner, api: cell.api };
  for (const [level, reader] of [
    ["memory", here],
    ["cache-api", there],
    ["redis", afar],
  ] as const) {
    let limit = 0;
    const hit = await poll(`a hit of ${level}`, async () => {
      limit += 1;
      const path = `/v1/workspaces/${place.id}/projects?limit=${limit % 100}`;
      const first = await named(here, "GET", path);
      const second = await named(reader, "GET", path);
      return second.headers.get("cache-status")?.endsWith(`detail=${level}`) && { first, second };
    });
    expect(hit.second.text).toBe(hit.first.text);
    expectOwn(hit.first, hit.second);
  }
});

test("a replay carries ids, trace and limits of its own", async () => {
  const place = await home();
  const key = { "idempotency-key": randomUUID() };
  const create = () =>
    named(place.owner, "POST", `/v1/workspaces/${place.id}/projects`, { name: "Once" }, key);
  const [first, second] = [await create(), await create()];
  expect([first.headers.get("idempotent-replayed"), second.headers.get("idempotent-replayed")]).toEqual([
    null,
    "true",
  ]);
  expect(second.text).toBe(first.text);
  expectOwn(first, second);
});

test("writes and refusals are no-store", async () => {
  const place = await home();
  const write = await call(place.owner, "PATCH", `/v1/workspaces/${place.id}`, { name: "Write" });
  expect(write.headers.get("cache-control")).toBe("no-store");
  expectProblem(await call(null, "GET", `/v1/workspaces/${place.id}`), 401, "unauthenticated");
});

/** Reads until the answer comes from the cache, which is filled after the answer that missed. */
async function untilHit(caller: User, path: string): Promise<{ answer: Answer<unknown>; requests: number }> {
  return poll(`a HIT of ${path}`, async () => {
    const mine = trace();
    const answer = await call<unknown>(caller, "GET", path, undefined, { traceparent: mine.traceparent });
    expectStatus(answer, 200);
    if (answer.headers.get("x-cache") !== "HIT") return undefined;
    return { answer, requests: (await neonCounters(mine.id)).requests };
  });
}

/** A call with a trace and a correlation id that no other has; checks that the answer gives them back. */
async function named(
  caller: User,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<unknown>> {
  const mine = trace();
  const correlation = `order-${mine.id}`;
  const own = { ...headers, traceparent: mine.traceparent, "x-correlation-id": correlation };
  const answer = await call<unknown>(caller, method, path, body, own);
  expect(answer.headers.get("traceparent")).toContain(mine.id);
  expect(answer.headers.get("traceparent")).not.toBe(mine.traceparent);
  expect(answer.headers.get("x-correlation-id")).toBe(correlation);
  expect(answer.headers.get("x-actor-id")).toBe(caller.id);
  return answer;
}

function expectOwn(first: Answer<unknown>, second: Answer<unknown>): void {
  expect(second.headers.get("x-request-id")).toMatch(/^req_/);
  expect(second.headers.get("x-request-id")).not.toBe(first.headers.get("x-request-id"));
  expect(second.headers.get("server-timing")).toMatch(/^total;dur=/);
  for (const answer of [first, second]) {
    expect(answer.headers.get("ratelimit")).toMatch(
      /^"(relaxed|standard)";r=\d+;t=\d+, "daily";r=\d+;t=\d+$/,
    );
  }
  expect(second.headers.get("ratelimit")).not.toBe(first.headers.get("ratelimit"));
}

function varyOf(answer: Answer<unknown>): string[] {
  return (answer.headers.get("vary") ?? "").split(",").map((name) => name.trim().toLowerCase());
}
