/** `/v1/orgs/{org}/workspaces` and `/v1/workspaces/{ws}`. */
import { expect, test } from "vitest";
import {
  type Answer,
  call,
  expectProblem,
  expectStatus,
  home,
  member,
  organisation,
  orgMember,
  user,
  workspace,
} from "./actors.ts";
import { itemTag } from "./etags.ts";
import type { Page, Workspace } from "./shapes.ts";

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);

test("a created workspace gets a slug from its name", async () => {
  const org = await organisation(await user());
  const path = `/v1/orgs/${org.id}/workspaces`;
  const created = expectStatus(
    await call<Workspace>(org.owner, "POST", path, { name: "Grüne Küche  & Bar!" }),
    201,
  );
  expect(created.body).toEqual({
    id: expect.stringMatching(/^ws_[0-7][0-9a-hjkmnp-tv-z]{25}$/),
    org_id: org.id,
    name: "Grüne Küche  & Bar!",
    slug: expect.stringMatching(/^[a-z0-9](-?[a-z0-9])*$/),
    role: "admin",
    version: 1,
    created_at: TIME,
    updated_at: TIME,
  });
  expect(created.headers.get("location")).toBe(`/v1/workspaces/${created.body.id}`);
  expect(created.headers.get("etag")).toMatch(itemTag(1));
  const read = await call<Workspace>(org.owner, "GET", `/v1/workspaces/${created.body.id}`);
  expect(read.body).toEqual(created.body);
  expect(read.headers.get("etag")).toBe(created.headers.get("etag"));
  expect(Number(read.headers.get("x-drey-revision"))).toBeGreaterThan(0);
});

test("any member of the organisation creates workspaces and is admin of his own", async () => {
  const org = await organisation(await user());
  const maker = await orgMember(org, "member");
  const made = await call<Workspace>(maker, "POST", `/v1/orgs/${org.id}/workspaces`, { name: "Mine" });
  expect(expectStatus(made, 201).body.role).toBe("admin");
  expectStatus(await call(maker, "PATCH", `/v1/workspaces/${made.body.id}`, { name: "Still mine" }), 200);
});

test("a slug is unique in its organisation and free in another", async () => {
  const org = await organisation(await user());
  const first = await workspace(org, { slug: "kitchen" });
  const path = `/v1/orgs/${org.id}/workspaces`;
  expectProblem(await call(org.owner, "POST", path, { name: "Other", slug: "kitchen" }), 409, "slug-taken");
  const second = await workspace(org);
  const renamed = await call(org.owner, "PATCH", `/v1/workspaces/${second.id}`, { slug: "kitchen" });
  expectProblem(renamed, 409, "slug-taken");
  const elsewhere = await workspace(await organisation(await user()), { slug: "kitchen" });
  expect(elsewhere.slug).toBe(first.slug);
});

test.each(["Upper", "-start", "end-", "two--hyphens", "with space", "ünïcode", "", "x".repeat(64)])(
  "the slug %j is refused",
  async (slug) => {
    const org = await organisation(await user());
    const answer = await call(org.owner, "POST", `/v1/orgs/${org.id}/workspaces`, { name: "Name", slug });
    expect(expectProblem(answer, 400, "invalid-body").errors).toEqual([
      { pointer: "/slug", detail: expect.any(String) },
    ]);
  },
);

test("owners and admins list every workspace, a member only those he can enter", async () => {
  const org = await organisation(await user());
  const [seen, hidden] = [await workspace(org), await workspace(org)];
  const viewer = await member(seen, "viewer");
  const path = `/v1/orgs/${org.id}/workspaces`;
  const all = await call<Page<Workspace>>(org.owner, "GET", path);
  expect(all.body.data.map((one) => one.id)).toEqual([hidden.id, seen.id]);
  const some = await call<Page<Workspace>>(viewer, "GET", path);
  expect(some.body.data.map((one) => [one.id, one.role])).toEqual([[seen.id, "viewer"]]);
  expectProblem(await call(viewer, "GET", `/v1/workspaces/${hidden.id}`), 404, "not-found");
});

test("pages join without gap or repetition and end with null", async () => {
  const org = await organisation(await user());
  const made: string[] = [];
  for (let n = 0; n < 5; n += 1) made.unshift((await workspace(org)).id);
  const seen: string[] = [];
  let next: string | null = `/v1/orgs/${org.id}/workspaces?limit=2`;
  while (next) {
    const page: Answer<Page<Workspace>> = expectStatus(await call(org.owner, "GET", next), 200);
    seen.push(...page.body.data.map((one) => one.id));
    next = /<([^>]+)>; rel="next"/.exec(page.headers.get("link") ?? "")?.[1] ?? null;
    expect(page.body.next_cursor === null).toBe(next === null);
  }
  expect(seen).toEqual(made);
});

test("a change grows version and revision", async () => {
  const { owner, ...before } = await home();
  const path = `/v1/workspaces/${before.id}`;
  const revision = Number((await call(owner, "GET", path)).headers.get("x-drey-revision"));
  const changed = expectStatus(
    await call<Workspace>(owner, "PATCH", path, { name: "New", slug: "new" }),
    200,
  );
  expect(changed.body).toEqual({
    ...before,
    name: "New",
    slug: "new",
    version: 2,
    updated_at: TIME,
  });
  expect(changed.headers.get("x-drey-revision")).toBe(String(revision + 1));
  expect((await call<Workspace>(owner, "GET", path, undefined, revisionOf(changed.headers))).body).toEqual(
    changed.body,
  );
});

test("an empty change is no change but a valid call", async () => {
  const { owner, ...place } = await home();
  const answer = expectStatus(await call<Workspace>(owner, "PATCH", `/v1/workspaces/${place.id}`, {}), 200);
  expect(answer.body).toMatchObject({ id: place.id, name: place.name, slug: place.slug });
});

test("viewers and editors neither change nor delete a workspace", async () => {
  const place = await home();
  for (const role of ["viewer", "editor"] as const) {
    const caller = await member(place, role);
    expectProblem(
      await call(caller, "PATCH", `/v1/workspaces/${place.id}`, { name: "No" }),
      403,
      "forbidden",
    );
    expectProblem(await call(caller, "DELETE", `/v1/workspaces/${place.id}`), 403, "forbidden");
  }
});

test("a deleted workspace is gone for everybody at once", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const path = `/v1/workspaces/${place.id}`;
  expectStatus(await call(viewer, "GET", path), 200);
  expectProblem(
    await call(place.owner, "DELETE", path, undefined, { "if-match": '"5"' }),
    412,
    "precondition-failed",
  );
  expectStatus(await call(place.owner, "DELETE", path, undefined, { "if-match": '"1"' }), 204);
  for (const caller of [viewer, place.owner])
    expectProblem(await call(caller, "GET", path), 404, "not-found");
});

function revisionOf(headers: Headers): Record<string, string> {
  return { "x-drey-revision": String(headers.get("x-drey-revision")) };
}
