/** `/v1/orgs/{org}/invitations` and `/v1/invitations/accept`: single use, expiring, known by digest only. */
import { expect, test } from "vitest";
import {
  atOnce,
  call,
  expectProblem,
  expectStatus,
  home,
  invite,
  organisation,
  orgMember,
  unique,
  user,
  workspace,
} from "./actors.ts";
import { sql, uuidOf } from "./database.ts";
import { itemTag } from "./etags.ts";
import type { Invitation, Org, Page, Workspace, WorkspaceMember } from "./shapes.ts";

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
const ACCEPT = "/v1/invitations/accept";

test("an invitation's token is in the answer of its creation and nowhere else", async () => {
  const org = await organisation(await user());
  const path = `/v1/orgs/${org.id}/invitations`;
  const body = { email: "Guest@Example.test", role: "admin" };
  const created = expectStatus(await call<Invitation>(org.owner, "POST", path, body), 201);
  const { token, ...rest } = created.body;
  expect(rest).toEqual({
    id: expect.stringMatching(/^inv_/),
    org_id: org.id,
    email: "guest@example.test",
    role: "admin",
    workspace_id: null,
    workspace_role: null,
    state: "pending",
    version: 1,
    expires_at: TIME,
    created_at: TIME,
  });
  expect(created.headers.get("location")).toBe(`${path}/${rest.id}`);
  const list = expectStatus(await call<Page<Invitation>>(org.owner, "GET", path), 200);
  expect(list.body).toEqual({ data: [rest], next_cursor: null });
  const one = expectStatus(await call<Invitation>(org.owner, "GET", `${path}/${rest.id}`), 200);
  expect(one.body).toEqual(rest);
  expect(token).toMatch(/^[\w.~-]{32,}$/);
});

test("the database holds a digest, never the token", async () => {
  const org = await organisation(await user());
  const { id, token } = await invite(org, {});
  const rows = await sql<{ row: string }>(
    "select to_jsonb(i)::text as row from invitation i where i.invitation_id = $1",
    [uuidOf(id)],
  );
  expect(rows).toHaveLength(1);
  expect(rows[0]?.row).not.toContain(token);
  expect(rows[0]?.row).not.toContain(token.slice(-20));
});

test("accepting makes a member with the invitation's role, once", async () => {
  const org = await organisation(await user());
  const { id, token } = await invite(org, { role: "admin" });
  const guest = await user();
  const accepted = expectStatus(await call<Org>(guest, "POST", ACCEPT, { token }), 200);
  expect(accepted.body).toMatchObject({ id: org.id, name: org.name, role: "admin" });
  expectProblem(await call(await user(), "POST", ACCEPT, { token }), 409, "invitation-used");
  const used = await call<Invitation>(org.owner, "GET", `/v1/orgs/${org.id}/invitations/${id}`);
  expect(used.body.state).toBe("accepted");
  expectStatus(await call(guest, "PATCH", `/v1/orgs/${org.id}`, { name: "By the guest" }), 200);
});

test("an invitation into a workspace gives its role there too", async () => {
  const org = await organisation(await user());
  const place = await workspace(org);
  const { token } = await invite(org, { workspace_id: place.id, workspace_role: "editor" });
  const guest = await user();
  expectStatus(await call(guest, "POST", ACCEPT, { token }), 200);
  expect((await call<Workspace>(guest, "GET", `/v1/workspaces/${place.id}`)).body.role).toBe("editor");
  const row = await call<WorkspaceMember>(org.owner, "GET", `/v1/workspaces/${place.id}/members/${guest.id}`);
  expect(row.body.role).toBe("editor");
});

test("an invitation cannot lead into another organisation's workspace", async () => {
  const foreign = await home();
  const org = await organisation(await user());
  const body = { email: "a@example.test", role: "member", workspace_id: foreign.id, workspace_role: "admin" };
  const answer = await call(org.owner, "POST", `/v1/orgs/${org.id}/invitations`, body);
  expectProblem(answer, 404, "not-found");
});

test("eight people with one token: one gets in", async () => {
  const org = await organisation(await user());
  const { token } = await invite(org, {});
  const guests = await atOnce(8, () => user());
  const answers = await Promise.all(guests.map((guest) => call(guest, "POST", ACCEPT, { token })));
  expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409, 409, 409, 409, 409, 409, 409]);
});

test("an expired invitation is 410 to who holds its token", async () => {
  const org = await organisation(await user());
  const { id, token } = await invite(org, { expires_in_hours: 1 });
  await sql(
    "update invitation set expires_at = created_at + interval '1 microsecond' where invitation_id = $1",
    [uuidOf(id)],
  );
  expectProblem(await call(await user(), "POST", ACCEPT, { token }), 410, "invitation-expired");
});

test("a wrong token is 404 and tells nothing", async () => {
  const org = await organisation(await user());
  const { token } = await invite(org, {});
  const caller = await user();
  const wrong = `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`;
  for (const tried of [wrong, unique("token"), "x".repeat(5_000)]) {
    expectProblem(await call(caller, "POST", ACCEPT, { token: tried }), 404, "invitation-not-found");
  }
});

test("a revoked invitation lets nobody in", async () => {
  const org = await organisation(await user());
  const { id, token } = await invite(org, {});
  expectStatus(await call(org.owner, "DELETE", `/v1/orgs/${org.id}/invitations/${id}`), 204);
  expectProblem(await call(await user(), "POST", ACCEPT, { token }), 404, "invitation-not-found");
  expectProblem(await call(org.owner, "GET", `/v1/orgs/${org.id}/invitations/${id}`), 404, "not-found");
});

test("an invitation is revoked at the version that was read", async () => {
  const org = await organisation(await user());
  const { id, token } = await invite(org, {});
  const path = `/v1/orgs/${org.id}/invitations/${id}`;
  const read = await call<Invitation>(org.owner, "GET", path);
  expect(read.headers.get("etag")).toMatch(itemTag(1));
  const stale = { "if-match": '"9"' };
  expectProblem(await call(org.owner, "DELETE", path, undefined, stale), 412, "precondition-failed");
  const pending = { "if-match": String(read.headers.get("etag")) };
  expectStatus(await call(await user(), "POST", ACCEPT, { token }), 200);
  expectProblem(await call(org.owner, "DELETE", path, undefined, pending), 412, "precondition-failed");
});

test("an invitation ends with its maker's right to invite", async () => {
  const org = await organisation(await user());
  const admin = await orgMember(org, "admin");
  const members = `/v1/orgs/${org.id}/members`;
  const { token } = await invite({ ...org, owner: admin }, { role: "admin" });
  const change = (role: string) => call(org.owner, "PUT", `${members}/${admin.id}`, { role });
  expectStatus(await change("member"), 200);
  const guest = await user();
  expectProblem(await call(guest, "POST", ACCEPT, { token }), 410, "invitation-expired");
  expectStatus(await change("admin"), 200);
  const kept = await invite({ ...org, owner: admin }, {});
  expectStatus(await call(guest, "POST", ACCEPT, { token: kept.token }), 200);
  const late = await invite({ ...org, owner: admin }, {});
  expectStatus(await call(org.owner, "DELETE", `${members}/${admin.id}`), 204);
  expectProblem(await call(await user(), "POST", ACCEPT, { token: late.token }), 410, "invitation-expired");
});

test("admins invite members and admins, only owners invite owners, members invite nobody", async () => {
  const org = await organisation(await user());
  const [admin, member] = [await orgMember(org, "admin"), await orgMember(org, "member")];
  const path = `/v1/orgs/${org.id}/invitations`;
  const email = "someone@example.test";
  expectStatus(await call(admin, "POST", path, { email, role: "admin" }), 201);
  expectProblem(await call(admin, "POST", path, { email, role: "owner" }), 403, "forbidden");
  expectProblem(await call(member, "POST", path, { email, role: "member" }), 403, "forbidden");
  expectProblem(await call(member, "GET", path), 403, "forbidden");
  expectStatus(await call(org.owner, "POST", path, { email, role: "owner" }), 201);
});

test.each([
  { email: "no-at-sign", role: "member" },
  { email: `${"x".repeat(250)}@example.test`, role: "member" },
  { email: "a@example.test", role: "emperor" },
  { email: "a@example.test", role: "member", expires_in_hours: 0 },
  { email: "a@example.test", role: "member", expires_in_hours: 721 },
  { email: "a@example.test", role: "member", workspace_role: "editor" },
  { role: "member" },
])("the invitation %j is refused", async (body) => {
  const org = await organisation(await user());
  const problem = expectProblem(
    await call(org.owner, "POST", `/v1/orgs/${org.id}/invitations`, body),
    400,
    "invalid-body",
  );
  expect(problem.errors?.length).toBeGreaterThan(0);
});
