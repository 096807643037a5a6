/** `Idempotency-Key`: what is sent twice happens once. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import {
  call,
  expectProblem,
  expectStatus,
  home,
  invite,
  member,
  organisation,
  user,
  workspace,
} from "./actors.ts";
import type { Invitation, Org, Page, Project } from "./shapes.ts";

test("every create answers a repeated key with its first answer and a new request id", async () => {
  const place = await home();
  const creates: [string, Record<string, unknown>][] = [
    ["/v1/orgs", { name: "Again" }],
    [`/v1/orgs/${place.org_id}/workspaces`, { name: "Again" }],
    [`/v1/orgs/${place.org_id}/invitations`, { email: "a@example.test", role: "member" }],
    [`/v1/workspaces/${place.id}/projects`, { name: "Again" }],
    [`/v1/workspaces/${place.id}/api-keys`, { name: "Again", scopes: ["read"] }],
  ];
  for (const [path, body] of creates) {
    const headers = { "idempotency-key": randomUUID() };
    const first = expectStatus(await call(place.owner, "POST", path, body, headers), 201);
    const again = expectStatus(await call(place.owner, "POST", path, body, headers), 201);
    expect(again.body, path).toEqual(first.body);
    expect(first.headers.get("idempotent-replayed"), path).toBeNull();
    expect(again.headers.get("idempotent-replayed"), path).toBe("true");
    expect(again.headers.get("location"), path).toBe(first.headers.get("location"));
    expect(again.headers.get("x-request-id")).not.toBe(first.headers.get("x-request-id"));
  }
  const projects = await call<Page<Project>>(place.owner, "GET", `/v1/workspaces/${place.id}/projects`);
  expect(projects.body.data).toHaveLength(1);
});

test("a replayed invitation has the same token, although only its digest is stored", async () => {
  const org = await organisation(await user());
  const headers = { "idempotency-key": randomUUID() };
  const body = { email: "a@example.test", role: "member" };
  const path = `/v1/orgs/${org.id}/invitations`;
  const first = await call<Invitation>(org.owner, "POST", path, body, headers);
  const again = await call<Invitation>(org.owner, "POST", path, body, headers);
  expect(again.body.token).toBe(first.body.token);
  expectStatus(await call(await user(), "POST", "/v1/invitations/accept", { token: again.body.token }), 200);
});

test("accepting with a key replays too, instead of saying that the invitation is used", async () => {
  const org = await organisation(await user());
  const { token } = await invite(org, {});
  const guest = await user();
  const headers = { "idempotency-key": randomUUID() };
  const first = expectStatus(
    await call<Org>(guest, "POST", "/v1/invitations/accept", { token }, headers),
    200,
  );
  const again = expectStatus(
    await call<Org>(guest, "POST", "/v1/invitations/accept", { token }, headers),
    200,
  );
  expect(again.body).toEqual(first.body);
  expect(again.headers.get("idempotent-replayed")).toBe("true");
});

test("a key that accepted one invitation is 422 with another's token", async () => {
  const org = await organisation(await user());
  const [first, second] = [await invite(org, {}), await invite(org, {})];
  const guest = await user();
  const headers = { "idempotency-key": randomUUID() };
  const accept = (token: string) => call(guest, "POST", "/v1/invitations/accept", { token }, headers);
  expectStatus(await accept(first.token), 200);
  expectProblem(await accept(second.token), 422, "idempotency-mismatch");
  expectStatus(await accept(first.token), 200);
});

test("who left the organisation is not told again that he accepted", async () => {
  const org = await organisation(await user());
  const { token } = await invite(org, {});
  const guest = await user();
  const headers = { "idempotency-key": randomUUID() };
  const accept = () => call(guest, "POST", "/v1/invitations/accept", { token }, headers);
  expectStatus(await accept(), 200);
  expectStatus(await call(guest, "DELETE", `/v1/orgs/${org.id}/members/${guest.id}`), 204);
  expectProblem(await accept(), 404, "not-found");
});

test("one key serves in two workspaces, as in two organisations", async () => {
  const place = await home();
  const second = await workspace({ id: place.org_id, owner: place.owner });
  const other = await organisation(place.owner);
  const headers = { "idempotency-key": randomUUID() };
  const paths = [place, second].map(({ id }) => `/v1/workspaces/${id}/projects`);
  paths.push(...[place.org_id, other.id].map((id) => `/v1/orgs/${id}/workspaces`));
  const made = new Set<string>();
  for (const path of paths) {
    const answer = await call<Project>(place.owner, "POST", path, { name: "Same" }, headers);
    expect([path, answer.status, answer.headers.get("idempotent-replayed")]).toEqual([path, 201, null]);
    made.add(answer.body.id);
  }
  expect(made.size).toBe(4);
});

test("the key of another payload is 422 and creates nothing", async () => {
  const place = await home();
  const path = `/v1/workspaces/${place.id}/projects`;
  const headers = { "idempotency-key": randomUUID() };
  expectStatus(await call(place.owner, "POST", path, { name: "One" }, headers), 201);
  expectProblem(await call(place.owner, "POST", path, { name: "Two" }, headers), 422, "idempotency-mismatch");
  expect((await call<Page<Project>>(place.owner, "GET", path)).body.data).toHaveLength(1);
});

test("a key belongs to its principal and route", async () => {
  const place = await home();
  const editor = await member(place, "editor");
  const headers = { "idempotency-key": randomUUID() };
  const path = `/v1/workspaces/${place.id}/projects`;
  const mine = expectStatus(await call<Project>(place.owner, "POST", path, { name: "Same" }, headers), 201);
  const theirs = await call<Project>(editor, "POST", path, { name: "Same", slug: "theirs" }, headers);
  expect(expectStatus(theirs, 201).body.id).not.toBe(mine.body.id);
  const elsewhere = await call<Org>(place.owner, "POST", "/v1/orgs", { name: "Same" }, headers);
  expect(expectStatus(elsewhere, 201).headers.get("idempotent-replayed")).toBeNull();
});

test("bare and quoted are one key", async () => {
  const owner = await user();
  const key = randomUUID();
  const body = { name: "Quoted" };
  const bare = expectStatus(
    await call<Org>(owner, "POST", "/v1/orgs", body, { "idempotency-key": key }),
    201,
  );
  const quoted = await call<Org>(owner, "POST", "/v1/orgs", body, { "idempotency-key": `"${key}"` });
  expect(expectStatus(quoted, 201).body.id).toBe(bare.body.id);
});

test.each(["", '""', '"open', "x".repeat(256), "with space", "tab\tinside"])(
  "the key %j is refused",
  async (key) => {
    const owner = await user();
    const answer = await call(owner, "POST", "/v1/orgs", { name: "No" }, { "idempotency-key": key });
    expectProblem(answer, 400, "invalid-idempotency-key");
    expect((await call<Page<Org>>(owner, "GET", "/v1/orgs")).body.data).toEqual([]);
  },
);

test("a key of 255 characters is welcome", async () => {
  const headers = { "idempotency-key": "k".repeat(255) };
  expectStatus(await call(await user(), "POST", "/v1/orgs", { name: "Long key" }, headers), 201);
});

test("a refused create leaves its key free for the corrected one", async () => {
  const place = await home();
  const path = `/v1/workspaces/${place.id}/projects`;
  expectStatus(await call(place.owner, "POST", path, { name: "A", slug: "taken" }), 201);
  const headers = { "idempotency-key": randomUUID() };
  const refused = await call(place.owner, "POST", path, { name: "B", slug: "taken" }, headers);
  expectProblem(refused, 409, "slug-taken");
  expectStatus(await call(place.owner, "POST", path, { name: "B", slug: "free" }, headers), 201);
});

test("who has lost his access gets no replay", async () => {
  const place = await home();
  const editor = await member(place, "editor");
  const path = `/v1/workspaces/${place.id}/projects`;
  const headers = { "idempotency-key": randomUUID() };
  expectStatus(await call(editor, "POST", path, { name: "Mine" }, headers), 201);
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/members/${editor.id}`), 204);
  expectProblem(await call(editor, "POST", path, { name: "Mine" }, headers), 404, "not-found");
});
