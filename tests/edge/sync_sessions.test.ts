/** `/v1/workspaces/{ws}/sync/sessions`: what the server takes, where the streams end, how far each client is. */
import { expect, test } from "vitest";
import {
  call,
  expectProblem,
  expectStatus,
  home,
  member,
  nowhere,
  project,
  trace,
  type User,
  unique,
} from "./actors.ts";
import { apiKey, program } from "./keys.ts";
import { neonCounters } from "./neighbours.ts";
import { device, mutation, openSession, push, workspaceScope } from "./pushes.ts";
import type { Page, SyncSession, SyncSessionOpened } from "./shapes.ts";
import { poll, world } from "./world.ts";

function pathOf(place: { id: string }, id = ""): string {
  return `/v1/workspaces/${place.id}/sync/sessions${id && `/${id}`}`;
}

const read = (caller: User, place: { id: string }, id: string, query = "") =>
  call<SyncSessionOpened>(caller, "GET", `${pathOf(place, id)}${query}`);

const list = (caller: User, place: { id: string }) => call<Page<SyncSession>>(caller, "GET", pathOf(place));

test("a session says what the server takes and where the streams end, in one round trip", async () => {
  const place = await home();
  const one = device(place.owner, place);
  expectStatus(
    await push(one, [mutation(one, workspaceScope(place)), mutation(one, workspaceScope(place))]),
    200,
  );
  const mine = trace();
  const body = { client_id: one.clientId, client_name: " Tab ", capabilities: ["live", "merge.v1"] };
  const opened = expectStatus(
    await call<SyncSessionOpened>(place.owner, "POST", pathOf(place), body, {
      traceparent: mine.traceparent,
    }),
    201,
  );
  expect(opened.body).toEqual({
    id: expect.stringMatching(/^ses_/),
    client_id: one.clientId,
    user_id: place.owner.id,
    client_name: "Tab",
    capabilities: ["live", "merge.v1"],
    last_mutation_id: 2,
    acked_mutation_id: 0,
    open_divergences: 0,
    behind: null,
    seen_at: expect.any(String),
    expires_at: expect.any(String),
    created_at: expect.any(String),
    limits: { mutations_per_push: 500, push_bytes: 1_048_576, value_bytes: 262_144, chunk_bytes: 1_048_576 },
    scopes: [{ ...workspaceScope(place), generation: 1, epoch: 2 }],
    next_cursor: null,
  });
  expect(opened.headers.get("location")).toBe(pathOf(place, opened.body.id));
  expect((await neonCounters(mine.id)).requests).toBe(1);
  expect(Date.parse(opened.body.expires_at) - Date.parse(opened.body.seen_at)).toBe(86_400_000);
});

test("the state of a client is visible: acknowledged, diverged, behind", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const [one, two] = [device(place.owner, place), device(place.owner, place)];
  const entity = { type: "request", id: unique("request") };
  expectStatus(await push(one, [mutation(one, scope, { entity })]), 200);
  const late = mutation(two, scope, { entity, value: { other: 1 } });
  expectStatus(await push(two, [late]), 200);
  const scopes = [{ ...scope, offset: "1_0000000000000001" }];
  const { id } = expectStatus(await openSession(two, { scopes }), 201).body;
  expectStatus(await push(one, [mutation(one, scope), mutation(one, scope)]), 200);
  expectStatus(await push(two, [mutation(two, scope)], {}, { session_id: id, acked_mutation_id: 1 }), 200);
  const state = { last_mutation_id: 2, acked_mutation_id: 1, open_divergences: 1, behind: 3 };
  expect(expectStatus(await read(place.owner, place, id), 200).body).toMatchObject(state);
  expect((await list(place.owner, place)).body.data).toMatchObject([
    { id, client_id: two.clientId, ...state },
  ]);
});

test("a push within a session is checked against it", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const [one, two] = [device(place.owner, place), device(place.owner, place)];
  const { id } = expectStatus(await openSession(one), 201).body;
  expectStatus(await push(one, [mutation(one, scope)], {}, { session_id: id }), 200);
  expectProblem(await push(two, [mutation(two, scope)], {}, { session_id: id }), 409, "session-expired");
  expectProblem(await push(one, [mutation(one, scope)]), 409, "session-expired");
  one.lastId -= 1;
  expectProblem(await push(one, [], {}, { session_id: nowhere("ses") }), 409, "session-expired");
  expectStatus((await push(one, [], {}, { session_id: "ses_1" })) as never, 400);
  expectStatus(await call(place.owner, "DELETE", pathOf(place, id)), 204);
  expectProblem(await push(one, [mutation(one, scope)], {}, { session_id: id }), 409, "session-expired");
  one.lastId -= 1;
  expectStatus(await push(one, [mutation(one, scope)]), 200);
});

test("a client has one session at a time, and its id belongs to one user", async () => {
  const place = await home();
  const one = device(place.owner, place);
  const first = expectStatus(await openSession(one), 201).body;
  const second = expectStatus(await openSession(one), 201).body;
  expect((await list(place.owner, place)).body.data.map((session) => session.id)).toEqual([second.id]);
  expectProblem(await read(place.owner, place, first.id), 404, "not-found");
  const thief = device(await member(place, "editor"), place, one.clientId);
  expectProblem(await openSession(thief), 403, "client-mismatch");
});

test("the streams come page by page, a user's own to him alone", async () => {
  const place = await home();
  const other = await member(place, "editor");
  const one = device(place.owner, place);
  const projects = [await project(place), await project(place), await project(place)];
  const own = { type: "user", id: place.owner.id };
  const scopes = [...projects.map(({ id }) => ({ type: "project", id })), own, workspaceScope(place)];
  expectStatus(
    await push(
      one,
      scopes.map((scope) => mutation(one, scope)),
    ),
    200,
  );
  const { id } = expectStatus(await openSession(one), 201).body;
  const seen: string[] = [];
  for (let query = "?limit=2"; query; ) {
    const { body } = expectStatus(await read(place.owner, place, id, query), 200);
    seen.push(...body.scopes.map((scope) => scope.id));
    query = body.next_cursor ? `?limit=2&cursor=${body.next_cursor}` : "";
  }
  expect(seen.toSorted()).toEqual(scopes.map((scope) => scope.id).toSorted());
  const theirs = expectStatus(await openSession(device(other, place)), 201).body;
  expect(theirs.scopes.map((scope) => scope.type)).not.toContain("user");
  const cursor = (await read(place.owner, place, id, "?limit=2")).body.next_cursor;
  expectProblem(await read(other, place, theirs.id, `?cursor=${cursor}`), 400, "invalid-cursor");
});

test("a viewer opens and ends his own session; admins list and end anybody's", async () => {
  const place = await home();
  const viewer = await member(place, "viewer");
  const own = expectStatus(await openSession(device(viewer, place)), 201).body;
  const owners = expectStatus(await openSession(device(place.owner, place)), 201).body;
  expectProblem(await list(viewer, place), 403, "forbidden");
  expectStatus(await read(viewer, place, own.id), 200);
  expectProblem(await read(viewer, place, owners.id), 404, "not-found");
  expectProblem(await call(viewer, "DELETE", pathOf(place, owners.id)), 403, "forbidden");
  expectStatus(await read(place.owner, place, own.id), 200);
  expectStatus(await call(place.owner, "DELETE", pathOf(place, own.id)), 204);
  expectProblem(await call(viewer, "DELETE", pathOf(place, own.id)), 404, "not-found");
  const stranger = await home();
  expectProblem(await read(stranger.owner, stranger, owners.id), 404, "not-found");
  expectProblem(await call(stranger.owner, "DELETE", pathOf(stranger, owners.id)), 404, "not-found");
});

test("a session in which nothing happens is over, and each push prolongs it", async () => {
  await using cell = await world().restart({ SYNC_SESSION_MS: "1500" });
  const place = await home(cell.api);
  const one = device(place.owner, place);
  const { id, seen_at } = expectStatus(await openSession(one), 201).body;
  const pushed = await push(one, [mutation(one, workspaceScope(place))], {}, { session_id: id });
  expectStatus(pushed, 200);
  expect((await read(place.owner, place, id)).body.seen_at > seen_at).toBe(true);
  await poll("its end", async () => (await read(place.owner, place, id)).status === 404);
  expect((await list(place.owner, place)).body.data).toEqual([]);
  expectProblem(await push(one, [], {}, { session_id: id }), 409, "session-expired");
});

test("a key of a project opens a session and sees its project's stream alone", async () => {
  const place = await home();
  const made = await project(place);
  const one = device(place.owner, place);
  const scopes = [workspaceScope(place), { type: "project", id: made.id }];
  expectStatus(
    await push(
      one,
      scopes.map((scope) => mutation(one, scope)),
    ),
    200,
  );
  const key = program(await apiKey(place, { scopes: ["sync"], project_id: made.id }));
  const opened = expectStatus(await openSession(device(key, place)), 201).body;
  expect(opened.scopes.map((scope) => scope.id)).toEqual([made.id]);
});

test.each([
  {},
  { client_name: "" },
  { client_name: "x".repeat(101) },
  { client_id: "with space" },
  { client_id: nowhere("div") },
  { capabilities: ["a,b"] },
  { capabilities: Array(33).fill("a") },
  { scopes: [{ type: "workspace", id: "x", offset: "1_0000000000000001" }] },
  { scopes: [{ type: "collection", id: "x", offset: "-1" }] },
  { extra: 1 },
])("the session %j is refused", async (wrong) => {
  const place = await home();
  const body = Object.keys(wrong).length > 0 ? { client_id: "c", client_name: "Tests", ...wrong } : wrong;
  expectStatus(await call(place.owner, "POST", pathOf(place), body), 400);
});
