/** `/v1/orgs/{org}/members`: who belongs, who grants what, and the last owner. */
import { expect, test } from "vitest";
import {
  atOnce,
  call,
  expectProblem,
  expectStatus,
  nowhere,
  organisation,
  orgMember,
  user,
} from "./actors.ts";
import { itemTag } from "./etags.ts";
import type { OrgMember, Page } from "./shapes.ts";

test("the creator is the first member, those who joined come first in the list", async () => {
  const org = await organisation(await user());
  const joined = await orgMember(org, "member");
  const path = `/v1/orgs/${org.id}/members`;
  const list = expectStatus(await call<Page<OrgMember>>(joined, "GET", path), 200);
  expect(list.body).toEqual({
    data: [
      {
        user_id: joined.id,
        email: joined.email,
        name: joined.name,
        role: "member",
        version: 1,
        created_at: expect.any(String),
      },
      {
        user_id: org.owner.id,
        email: org.owner.email,
        name: org.owner.name,
        role: "owner",
        version: 1,
        created_at: expect.any(String),
      },
    ],
    next_cursor: null,
  });
  const one = expectStatus(await call<OrgMember>(joined, "GET", `${path}/${joined.id}`), 200);
  expect(one.body).toEqual(list.body.data[0]);
  expect(one.headers.get("etag")).toMatch(itemTag(1));
});

test("an admin changes roles, a member does not", async () => {
  const org = await organisation(await user());
  const [admin, member] = [await orgMember(org, "admin"), await orgMember(org, "member")];
  const path = `/v1/orgs/${org.id}/members/${member.id}`;
  expectProblem(await call(member, "PUT", path, { role: "admin" }), 403, "forbidden");
  const raised = expectStatus(await call<OrgMember>(admin, "PUT", path, { role: "admin" }), 200);
  expect(raised.body).toMatchObject({ user_id: member.id, role: "admin", version: 2 });
  expect(raised.headers.get("etag")).toMatch(itemTag(2));
});

test("only an owner grants or takes ownership", async () => {
  const org = await organisation(await user());
  const [admin, member] = [await orgMember(org, "admin"), await orgMember(org, "member")];
  const members = `/v1/orgs/${org.id}/members`;
  expectProblem(await call(admin, "PUT", `${members}/${member.id}`, { role: "owner" }), 403, "forbidden");
  expectProblem(await call(admin, "PUT", `${members}/${org.owner.id}`, { role: "member" }), 403, "forbidden");
  expectProblem(await call(admin, "DELETE", `${members}/${org.owner.id}`), 403, "forbidden");
  const shared = await call<OrgMember>(org.owner, "PUT", `${members}/${member.id}`, { role: "owner" });
  expect(expectStatus(shared, 200).body.role).toBe("owner");
  expectStatus(await call(member, "PUT", `${members}/${org.owner.id}`, { role: "member" }), 200);
});

test("the last owner neither leaves nor steps down", async () => {
  const org = await organisation(await user());
  await orgMember(org, "admin");
  const self = `/v1/orgs/${org.id}/members/${org.owner.id}`;
  expectProblem(await call(org.owner, "DELETE", self), 409, "last-owner");
  expectProblem(await call(org.owner, "PUT", self, { role: "admin" }), 409, "last-owner");
  expect((await call<OrgMember>(org.owner, "GET", self)).body.role).toBe("owner");
});

test("two owners who leave at the same time leave one behind", async () => {
  const org = await organisation(await user());
  const second = await orgMember(org, "owner");
  const owners = [org.owner, second];
  const answers = await atOnce(2, (index) => {
    const owner = owners[index] ?? second;
    return call(owner, "DELETE", `/v1/orgs/${org.id}/members/${owner.id}`);
  });
  expect(answers.map((answer) => answer.status).sort()).toEqual([204, 409]);
  const refused = answers.find((answer) => answer.status === 409);
  expect(refused?.body.code).toBe("last-owner");
});

test("a member leaves by himself and is outside at once", async () => {
  const org = await organisation(await user());
  const leaving = await orgMember(org, "member");
  expectStatus(await call(leaving, "DELETE", `/v1/orgs/${org.id}/members/${leaving.id}`), 204);
  expectProblem(await call(leaving, "PATCH", `/v1/orgs/${org.id}`, { name: "No" }), 404, "not-found");
  expectProblem(await call(org.owner, "GET", `/v1/orgs/${org.id}/members/${leaving.id}`), 404, "not-found");
});

test("a member cannot remove another, an admin can", async () => {
  const org = await organisation(await user());
  const [one, other, admin] = [
    await orgMember(org, "member"),
    await orgMember(org, "member"),
    await orgMember(org, "admin"),
  ];
  const path = `/v1/orgs/${org.id}/members/${other.id}`;
  expectProblem(await call(one, "DELETE", path), 403, "forbidden");
  expectStatus(await call(admin, "DELETE", path), 204);
});

test("membership cannot be given to somebody who was not invited", async () => {
  const org = await organisation(await user());
  const outsider = await user();
  for (const id of [outsider.id, nowhere("user")]) {
    const answer = await call(org.owner, "PUT", `/v1/orgs/${org.id}/members/${id}`, { role: "member" });
    expectProblem(answer, 404, "not-found");
  }
});

test("a stale If-Match changes no role and removes nobody", async () => {
  const org = await organisation(await user());
  const member = await orgMember(org, "member");
  const path = `/v1/orgs/${org.id}/members/${member.id}`;
  const stale = { "if-match": '"9"' };
  expectProblem(await call(org.owner, "PUT", path, { role: "admin" }, stale), 412, "precondition-failed");
  expectProblem(await call(org.owner, "DELETE", path, undefined, stale), 412, "precondition-failed");
  expect((await call<OrgMember>(org.owner, "GET", path)).body).toMatchObject({ role: "member", version: 1 });
});

test("an unknown role is refused by name", async () => {
  const org = await organisation(await user());
  const answer = await call(org.owner, "PUT", `/v1/orgs/${org.id}/members/${org.owner.id}`, { role: "king" });
  expect(expectProblem(answer, 400, "invalid-body").errors).toEqual([
    { pointer: "/role", detail: expect.any(String) },
  ]);
});
