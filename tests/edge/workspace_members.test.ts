/** `/v1/workspaces/{ws}/members`: roles in a workspace, and how soon they stop to hold. */
import { expect, test } from "vitest";
import type { OwnedWorkspace, User } from "./actors.ts";
import {
  call,
  expectProblem,
  expectStatus,
  home,
  member,
  nowhere,
  orgMember,
  project,
  user,
} from "./actors.ts";
import type { Page, Workspace, WorkspaceMember, WorkspaceRole } from "./shapes.ts";
import { world } from "./world.ts";

test("adding, reading, changing and removing a member", async () => {
  const place = await home();
  const joined = await orgMember({ id: place.org_id, owner: place.owner }, "member");
  expectProblem(await call(joined, "GET", `/v1/workspaces/${place.id}`), 404, "not-found");
  const path = memberPath(place, joined);
  const added = expectStatus(await call<WorkspaceMember>(place.owner, "PUT", path, { role: "viewer" }), 200);
  expect(added.body).toEqual({
    user_id: joined.id,
    email: joined.email,
    name: joined.name,
    role: "viewer",
    version: 1,
    created_at: expect.any(String),
  });
  expect((await call<WorkspaceMember>(joined, "GET", path)).body).toEqual(added.body);
  const raised = expectStatus(await call<WorkspaceMember>(place.owner, "PUT", path, { role: "editor" }), 200);
  expect(raised.body).toEqual({ ...added.body, role: "editor", version: 2 });
  expectStatus(await call(place.owner, "DELETE", path), 204);
  expectProblem(await call(place.owner, "GET", path), 404, "not-found");
});

test("the list holds those with a row, newest first", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const list = await call<Page<WorkspaceMember>>(viewer, "GET", `/v1/workspaces/${place.id}/members`);
  expect(expectStatus(list, 200).body.data.map((one) => [one.user_id, one.role])).toEqual([
    [viewer.id, "viewer"],
    [place.owner.id, "admin"],
  ]);
});

test("who is not in the organisation cannot be added to its workspace", async () => {
  const place = await home();
  for (const id of [(await user()).id, nowhere("user")]) {
    const answer = await call(place.owner, "PUT", `/v1/workspaces/${place.id}/members/${id}`, {
      role: "viewer",
    });
    expectProblem(answer, 409, "not-an-org-member");
  }
});

test("only admins add, change and remove others; anybody leaves by himself", async () => {
  const place = await home();
  const [viewer, editor] = [await member(place, "viewer"), await member(place, "editor")];
  for (const caller of [viewer, editor]) {
    expectProblem(await call(caller, "PUT", memberPath(place, caller), { role: "admin" }), 403, "forbidden");
  }
  expectProblem(await call(editor, "DELETE", memberPath(place, viewer)), 403, "forbidden");
  expectStatus(await call(viewer, "DELETE", memberPath(place, viewer)), 204);
  const admin = await member(place, "admin");
  expectStatus(await call(admin, "DELETE", memberPath(place, editor)), 204);
});

test("owners and admins of the organisation are admins of each workspace without a row", async () => {
  const place = await home();
  const admin = await orgMember({ id: place.org_id, owner: place.owner }, "admin");
  expect((await call<Workspace>(admin, "GET", `/v1/workspaces/${place.id}`)).body.role).toBe("admin");
  expectStatus(await call(admin, "PATCH", `/v1/workspaces/${place.id}`, { name: "By the org's admin" }), 200);
});

test("leaving the organisation is leaving its workspaces", async () => {
  const place = await home();
  const editor = await member(place, "editor");
  expectStatus(await call(place.owner, "DELETE", `/v1/orgs/${place.org_id}/members/${editor.id}`), 204);
  expectProblem(await call(editor, "GET", `/v1/workspaces/${place.id}`), 404, "not-found");
  expectProblem(await call(place.owner, "GET", memberPath(place, editor)), 404, "not-found");
});

test("a removed member is out on all three isolates as soon as the removal is answered", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  for (const api of world().apis) expectStatus(await read({ ...viewer, api }, place), 200);
  expectStatus(await call(place.owner, "DELETE", memberPath(place, viewer)), 204);
  for (const api of world().apis) expectProblem(await read({ ...viewer, api }, place), 404, "not-found");
});

test("a lowered role holds on all three isolates as soon as it is answered", async () => {
  const place = await home();
  const editor = await member(place, "editor");
  const created = { name: "Before" };
  expectStatus(await call(editor, "POST", `/v1/workspaces/${place.id}/projects`, created), 201);
  await setRole(place, editor, "viewer");
  for (const api of world().apis) {
    const answer = await call({ ...editor, api }, "POST", `/v1/workspaces/${place.id}/projects`, {
      name: "After",
    });
    expectProblem(answer, 403, "forbidden");
  }
});

test("a raised role is usable with the revision that its grant answered", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  expectProblem(
    await call(viewer, "POST", `/v1/workspaces/${place.id}/projects`, { name: "Early" }),
    403,
    "forbidden",
  );
  const revision = await setRole(place, viewer, "editor");
  const headers = { "x-drey-revision": revision };
  expectStatus(
    await call(viewer, "POST", `/v1/workspaces/${place.id}/projects`, { name: "Late" }, headers),
    201,
  );
});

test("a stale If-Match changes nothing", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const stale = { "if-match": '"4"' };
  const path = memberPath(place, viewer);
  expectProblem(await call(place.owner, "PUT", path, { role: "admin" }, stale), 412, "precondition-failed");
  expectProblem(await call(place.owner, "DELETE", path, undefined, stale), 412, "precondition-failed");
  await project(place);
  expect((await call<WorkspaceMember>(place.owner, "GET", path)).body).toMatchObject({
    role: "viewer",
    version: 1,
  });
});

test("If-Match: * changes a member who is there and adds none who is not", async () => {
  const place = await home();
  const any = { "if-match": "*" };
  const viewer = await member(place, "viewer");
  expectStatus(await call(place.owner, "PUT", memberPath(place, viewer), { role: "editor" }, any), 200);
  expectStatus(await call(place.owner, "DELETE", memberPath(place, viewer), undefined, any), 204);
  const put = await call(place.owner, "PUT", memberPath(place, viewer), { role: "viewer" }, any);
  expectProblem(put, 412, "precondition-failed");
  expectProblem(await call(place.owner, "GET", memberPath(place, viewer)), 404, "not-found");
});

async function setRole(place: OwnedWorkspace, whom: User, role: WorkspaceRole): Promise<string> {
  const answer = expectStatus(await call(place.owner, "PUT", memberPath(place, whom), { role }), 200);
  return String(answer.headers.get("x-drey-revision"));
}

function memberPath(place: OwnedWorkspace, whom: User): string {
  return `/v1/workspaces/${place.id}/members/${whom.id}`;
}

function read(caller: User, place: OwnedWorkspace) {
  return call(caller, "GET", `/v1/workspaces/${place.id}`);
}
