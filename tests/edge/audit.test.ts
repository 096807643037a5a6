/** `/v1/workspaces/{ws}/audit`: what changed, who did it, and in which request. */
import { expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, member, project } from "./actors.ts";
import type { AuditEvent, Page, WorkspaceMember } from "./shapes.ts";

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);

test("every change of a workspace is an event that names its request", async () => {
  const place = await home();
  const changed = await call(place.owner, "PATCH", `/v1/workspaces/${place.id}`, { name: "Renamed" });
  const made = await project(place);
  const events = (await audit(place)).data;
  expect(events.map((event) => event.action)).toEqual([
    "project.created",
    "workspace.updated",
    "workspace_member.added",
    "workspace.created",
  ]);
  expect(events[0]).toMatchObject({ target: { type: "project", id: made.id } });
  expect(events[1]).toEqual({
    id: expect.stringMatching(/^evt_/),
    org_id: place.org_id,
    workspace_id: place.id,
    actor_id: place.owner.id,
    action: "workspace.updated",
    target: { type: "workspace", id: place.id },
    detail: expect.any(Object),
    request_id: changed.headers.get("x-request-id"),
    created_at: TIME,
  });
});

test("each change of membership and role is an event with both roles", async () => {
  const place = await home();
  const joined = await member(place, "viewer");
  const path = `/v1/workspaces/${place.id}/members/${joined.id}`;
  expectStatus(await call<WorkspaceMember>(place.owner, "PUT", path, { role: "editor" }), 200);
  expectStatus(await call(joined, "DELETE", path), 204);
  const events = (await audit(place)).data;
  expect(events.map((event) => [event.action, event.actor_id])).toEqual([
    ["workspace_member.removed", joined.id],
    ["workspace_member.role_changed", place.owner.id],
    ["workspace_member.added", place.owner.id],
    // The creator's own membership.
    ["workspace_member.added", place.owner.id],
    ["workspace.created", place.owner.id],
  ]);
  expect(JSON.stringify(events[1]?.detail)).toMatch(/viewer.*editor|editor.*viewer/);
  expect(events.slice(0, 3).every((event) => event.target.id === joined.id)).toBe(true);
});

test("a refused change leaves no event", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const before = (await audit(place)).data.length;
  expectProblem(await call(viewer, "PATCH", `/v1/workspaces/${place.id}`, { name: "No" }), 403, "forbidden");
  const stale = { "if-match": '"9"' };
  expectProblem(
    await call(place.owner, "PATCH", `/v1/workspaces/${place.id}`, { name: "No" }, stale),
    412,
    "precondition-failed",
  );
  expect((await audit(place)).data.length).toBe(before);
});

test("only admins read the audit, page by page", async () => {
  const place = await home();
  const editor = await member(place, "editor");
  await project(place);
  expectProblem(await call(editor, "GET", `/v1/workspaces/${place.id}/audit`), 403, "forbidden");
  const first = await audit(place, "?limit=2");
  const second = await audit(place, `?limit=2&cursor=${first.next_cursor}`);
  const all = await audit(place);
  expect([...first.data, ...second.data]).toEqual(all.data);
});

async function audit(
  place: { id: string; owner: Parameters<typeof call>[0] },
  query = "",
): Promise<Page<AuditEvent>> {
  const answer = await call<Page<AuditEvent>>(place.owner, "GET", `/v1/workspaces/${place.id}/audit${query}`);
  return expectStatus(answer, 200).body;
}
