/** `/v1/workspaces/{ws}/projects`. */
import { expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, member, nowhere, project, workspace } from "./actors.ts";
import type { Page, Project } from "./shapes.ts";

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);

test("a project is created, read, changed and deleted by an editor", async () => {
  const place = await home();
  const editor = await member(place, "editor");
  const path = `/v1/workspaces/${place.id}/projects`;
  const created = expectStatus(await call<Project>(editor, "POST", path, { name: "My API" }), 201);
  expect(created.body).toEqual({
    id: expect.stringMatching(/^prj_[0-7][0-9a-hjkmnp-tv-z]{25}$/),
    workspace_id: place.id,
    name: "My API",
    slug: "my-api",
    description: "",
    version: 1,
    created_at: TIME,
    updated_at: TIME,
  });
  const item = `${path}/${created.body.id}`;
  expect(created.headers.get("location")).toBe(item);
  const read = expectStatus(await call<Project>(editor, "GET", item), 200);
  expect(read.body).toEqual(created.body);
  const change = { description: "Line one.\nLine two." };
  const changed = expectStatus(await call<Project>(editor, "PATCH", item, change), 200);
  expect(changed.body).toEqual({ ...created.body, ...change, version: 2, updated_at: TIME });
  expect(changed.headers.get("etag")).toBe('"2"');
  expectStatus(await call(editor, "DELETE", item), 204);
  expectProblem(await call(editor, "GET", item), 404, "not-found");
});

test("a viewer reads and does not write", async () => {
  const place = await home();
  const made = await project(place);
  const viewer = await member(place, "viewer");
  const path = `/v1/workspaces/${place.id}/projects`;
  expect((await call<Page<Project>>(viewer, "GET", path)).body.data.map((one) => one.id)).toEqual([made.id]);
  expectProblem(await call(viewer, "POST", path, { name: "No" }), 403, "forbidden");
  expectProblem(await call(viewer, "PATCH", `${path}/${made.id}`, { name: "No" }), 403, "forbidden");
  expectProblem(await call(viewer, "DELETE", `${path}/${made.id}`), 403, "forbidden");
});

test("a slug is unique in its workspace and free in another of the same organisation", async () => {
  const place = await home();
  await project(place, { slug: "api" });
  const path = `/v1/workspaces/${place.id}/projects`;
  expectProblem(await call(place.owner, "POST", path, { name: "Other", slug: "api" }), 409, "slug-taken");
  const sibling = await workspace({ id: place.org_id, owner: place.owner });
  expect((await project(sibling, { slug: "api" })).slug).toBe("api");
});

test("a project of another workspace is 404 under this one, although both are one's own", async () => {
  const place = await home();
  const sibling = await workspace({ id: place.org_id, owner: place.owner });
  const made = await project(sibling);
  for (const method of ["GET", "PATCH", "DELETE"]) {
    const body = method === "PATCH" ? { name: "No" } : undefined;
    const answer = await call(place.owner, method, `/v1/workspaces/${place.id}/projects/${made.id}`, body);
    expectProblem(answer, 404, "not-found");
  }
  expectProblem(
    await call(place.owner, "GET", `/v1/workspaces/${place.id}/projects/${nowhere("prj")}`),
    404,
    "not-found",
  );
});

test("the list pages through, newest first, and the last page has no link", async () => {
  const place = await home();
  const made: string[] = [];
  for (let n = 0; n < 3; n += 1) made.unshift((await project(place)).id);
  const path = `/v1/workspaces/${place.id}/projects`;
  const first = expectStatus(await call<Page<Project>>(place.owner, "GET", `${path}?limit=2`), 200);
  const rest = `${path}?limit=2&cursor=${first.body.next_cursor}`;
  const second = expectStatus(await call<Page<Project>>(place.owner, "GET", rest), 200);
  expect([...first.body.data, ...second.body.data].map((one) => one.id)).toEqual(made);
  expect(second.body.next_cursor).toBeNull();
});

test("of two changes with the same If-Match one wins and the other is 412", async () => {
  const place = await home();
  const made = await project(place);
  const item = `/v1/workspaces/${place.id}/projects/${made.id}`;
  const names = ["One", "Two"];
  const answers = await Promise.all(
    names.map((name) => call<Project>(place.owner, "PATCH", item, { name }, { "if-match": '"1"' })),
  );
  expect(answers.map((answer) => answer.status).sort()).toEqual([200, 412]);
  const winner = answers.find((answer) => answer.status === 200);
  const read = await call<Project>(place.owner, "GET", item, undefined, {
    "x-drey-revision": String(winner?.headers.get("x-drey-revision")),
  });
  expect(read.body).toEqual(winner?.body);
});

test("a description longer than 2,000 characters is refused", async () => {
  const place = await home();
  const body = { name: "Long", description: "x".repeat(2_001) };
  const answer = await call(place.owner, "POST", `/v1/workspaces/${place.id}/projects`, body);
  expect(expectProblem(answer, 400, "invalid-body").errors).toEqual([
    { pointer: "/description", detail: expect.any(String) },
  ]);
});
