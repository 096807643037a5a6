/** `/v1/orgs`: organisations, their plan, their life and end. */
import { expect, test } from "vitest";
import {
  call,
  expectProblem,
  expectStatus,
  nowhere,
  organisation,
  orgMember,
  unique,
  user,
  workspace,
} from "./actors.ts";
import { itemTag } from "./etags.ts";
import type { Org, Page } from "./shapes.ts";

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);

test("a created organisation belongs to its creator", async () => {
  const owner = await user();
  const created = expectStatus(
    await call<Org>(owner, "POST", "/v1/orgs", { name: "  Acme  ", region: "enam" }),
    201,
  );
  expect(created.body).toEqual({
    id: expect.stringMatching(/^org_[0-7][0-9a-hjkmnp-tv-z]{25}$/),
    name: "Acme",
    plan: "free",
    region: "enam",
    role: "owner",
    version: 1,
    created_at: TIME,
    updated_at: TIME,
  });
  expect(created.headers.get("location")).toBe(`/v1/orgs/${created.body.id}`);
  expect(created.headers.get("etag")).toMatch(itemTag(1));
  const read = expectStatus(await call<Org>(owner, "GET", `/v1/orgs/${created.body.id}`), 200);
  expect(read.body).toEqual(created.body);
  expect(read.headers.get("etag")).toBe(created.headers.get("etag"));
});

test("the region defaults to western Europe", async () => {
  expect((await organisation(await user())).region).toBe("weur");
});

test("the list holds one's own organisations only, newest first, page by page", async () => {
  const owner = await user();
  const made = [await organisation(owner), await organisation(owner), await organisation(owner)];
  await organisation(await user());
  const first = expectStatus(await call<Page<Org>>(owner, "GET", "/v1/orgs?limit=2"), 200);
  expect(first.body.data.map((org) => org.id)).toEqual([made[2]?.id, made[1]?.id]);
  const cursor = String(first.body.next_cursor);
  expect(first.headers.get("link")).toMatch(new RegExp(`<[^>]*cursor=${cursor}[^>]*>; rel="next"`));
  const second = expectStatus(await call<Page<Org>>(owner, "GET", `/v1/orgs?limit=2&cursor=${cursor}`), 200);
  expect(second.body).toMatchObject({ data: [{ id: made[0]?.id }], next_cursor: null });
  expect(second.headers.get("link")).toBeNull();
});

test.each(["limit=0", "limit=101", "limit=ten", "limit=-1", "limit=1.5"])("%s is refused", async (query) => {
  const problem = expectProblem(
    await call(await user(), "GET", `/v1/orgs?${query}`),
    400,
    "invalid-parameter",
  );
  expect(problem.errors).toEqual([{ pointer: "limit", detail: expect.any(String) }]);
});

test("a cursor of another list is refused", async () => {
  const owner = await user();
  const org = await organisation(owner);
  await organisation(owner);
  const page = await call<Page<Org>>(owner, "GET", "/v1/orgs?limit=1");
  const cursor = String(page.body.next_cursor);
  expectProblem(
    await call(owner, "GET", `/v1/orgs/${org.id}/members?cursor=${cursor}`),
    400,
    "invalid-cursor",
  );
  expectProblem(await call(owner, "GET", `/v1/orgs?cursor=${cursor}x`), 400, "invalid-cursor");
  expectProblem(await call(owner, "GET", "/v1/orgs?cursor=garbage"), 400, "invalid-cursor");
});

test("a rename grows the version and keeps the rest", async () => {
  const org = await organisation(await user());
  const { owner, ...before } = org;
  const changed = expectStatus(
    await call<Org>(owner, "PATCH", `/v1/orgs/${org.id}`, { name: "Renamed" }),
    200,
  );
  expect(changed.body).toEqual({ ...before, name: "Renamed", version: 2, updated_at: TIME });
  expect(changed.headers.get("etag")).toMatch(itemTag(2));
  expect(Number(changed.headers.get("x-drey-revision"))).toBeGreaterThan(0);
});

test("If-Match of an older version is 412 and changes nothing", async () => {
  const { owner, ...org } = await organisation(await user());
  const stale = { "if-match": '"7"' };
  expectProblem(
    await call(owner, "PATCH", `/v1/orgs/${org.id}`, { name: "No" }, stale),
    412,
    "precondition-failed",
  );
  expectProblem(
    await call(owner, "DELETE", `/v1/orgs/${org.id}`, undefined, stale),
    412,
    "precondition-failed",
  );
  expect((await call<Org>(owner, "GET", `/v1/orgs/${org.id}`)).body).toEqual(org);
  expectStatus(await call(owner, "PATCH", `/v1/orgs/${org.id}`, { name: "Yes" }, { "if-match": '"1"' }), 200);
  expectStatus(await call(owner, "PATCH", `/v1/orgs/${org.id}`, { name: "Yes!" }, { "if-match": "*" }), 200);
});

test("only the owner deletes, and then nothing of it is left", async () => {
  const org = await organisation(await user());
  const place = await workspace(org);
  const admin = await orgMember(org, "admin");
  expectProblem(await call(admin, "DELETE", `/v1/orgs/${org.id}`), 403, "forbidden");
  const gone = expectStatus(await call(org.owner, "DELETE", `/v1/orgs/${org.id}`), 204);
  expect(gone.text).toBe("");
  expectProblem(await call(org.owner, "GET", `/v1/orgs/${org.id}`), 404, "not-found");
  expectProblem(await call(org.owner, "GET", `/v1/workspaces/${place.id}`), 404, "not-found");
  expectProblem(await call(org.owner, "DELETE", `/v1/orgs/${org.id}`), 404, "not-found");
});

test("a member reads, an admin renames, neither sets the plan", async () => {
  const org = await organisation(await user());
  const member = await orgMember(org, "member");
  const admin = await orgMember(org, "admin");
  expect((await call<Org>(member, "GET", `/v1/orgs/${org.id}`)).body.role).toBe("member");
  expectProblem(await call(member, "PATCH", `/v1/orgs/${org.id}`, { name: "No" }), 403, "forbidden");
  expectStatus(await call(admin, "PATCH", `/v1/orgs/${org.id}`, { name: unique("By-admin") }), 200);
  expectProblem(await call(admin, "PUT", `/v1/orgs/${org.id}/plan`, { plan: "team" }), 403, "forbidden");
});

test("the owner sets the plan of a self-hosted drey, and only to a plan that exists", async () => {
  const org = await organisation(await user());
  const path = `/v1/orgs/${org.id}/plan`;
  const set = expectStatus(await call<Org>(org.owner, "PUT", path, { plan: "business" }), 200);
  expect(set.body).toMatchObject({ id: org.id, plan: "business", version: 2 });
  const problem = expectProblem(
    await call(org.owner, "PUT", path, { plan: "platinum" }),
    400,
    "invalid-body",
  );
  expect(problem.errors).toEqual([{ pointer: "/plan", detail: expect.any(String) }]);
});

test("an organisation that does not exist is 404, an id of another shape too", async () => {
  const caller = await user();
  for (const id of [
    nowhere("org"),
    nowhere("ws"),
    "org_",
    "nonsense",
    "org_zzzzzzzzzzzzzzzzzzzzzzzzzz",
    "%00",
  ]) {
    const answer = await call(caller, "GET", `/v1/orgs/${id}`);
    expect([400, 404], `${id}: ${answer.text}`).toContain(answer.status);
  }
  expectProblem(await call(caller, "GET", `/v1/orgs/${nowhere("org")}`), 404, "not-found");
});
