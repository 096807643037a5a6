/** `/v1/workspaces/{ws}/sync/divergences`: both sides, listed by scope, resolved once, by a mutation in the log. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import {
  atOnce,
  call,
  expectProblem,
  expectStatus,
  home,
  member,
  nowhere,
  type OwnedWorkspace,
  project,
  trace,
  type User,
} from "./actors.ts";
import { apiKey, program } from "./keys.ts";
import { neonCounters } from "./neighbours.ts";
import { catchUp, device, diverge, mutation, push, type Scope, workspaceScope } from "./pushes.ts";
import { sit } from "./rooms.ts";
import type { AuditEvent, Divergence, DivergenceResolved, Page } from "./shapes.ts";
import { at, listen, longPoll, versions } from "./streams.ts";
import { poll, world } from "./world.ts";

const DAY_MS = 86_400_000;

function pathOf(place: { id: string }, id = ""): string {
  return `/v1/workspaces/${place.id}/sync/divergences${id && `/${id}`}`;
}

const list = (caller: User, place: { id: string }, query = "") =>
  call<Page<Divergence>>(caller, "GET", `${pathOf(place)}${query}`);

const read = (caller: User, place: { id: string }, id: string) =>
  call<Divergence>(caller, "GET", pathOf(place, id));

function resolve(caller: User, place: { id: string }, id: string, body: unknown, headers = {}) {
  return call<DivergenceResolved>(caller, "POST", `${pathOf(place, id)}/resolve`, body, headers);
}

/** A place with an editor, whose write came late. */
async function contested(): Promise<
  { place: OwnedWorkspace; editor: User } & Awaited<ReturnType<typeof diverge>>
> {
  const place = await home();
  const editor = await member(place, "editor");
  return { place, editor, ...(await diverge(place, place.owner, editor)) };
}

test("it names base, both sides, both clocks, who and until when", async () => {
  const { place, editor, id, entity, early, late } = await contested();
  const found = expectStatus(await read(place.owner, place, id), 200).body;
  expect(found).toEqual({
    id,
    workspace_id: place.id,
    scope: workspaceScope(place),
    entity,
    base_version: 1,
    base: { name: "base" },
    mine: {
      user_id: editor.id,
      client_id: late.clientId,
      mutation_id: 1,
      clock: { [late.clientId]: 1 },
      deleted: false,
      value: { name: "mine" },
    },
    theirs: {
      user_id: place.owner.id,
      client_id: early.clientId,
      mutation_id: 2,
      clock: { [early.clientId]: 2 },
      deleted: false,
      value: { name: "theirs" },
    },
    version: 2,
    created_at: expect.any(String),
    expires_at: expect.any(String),
    resolution: null,
  });
  expect(Date.parse(found.expires_at) - Date.parse(found.created_at)).toBe(90 * DAY_MS);
  const listed = expectStatus(await list(editor, place), 200).body;
  const { value: _a, ...mine } = found.mine;
  const { value: _b, ...theirs } = found.theirs;
  const { base: _c, ...rest } = found;
  expect(listed).toEqual({ data: [{ ...rest, mine, theirs }], next_cursor: null });
});

test("the list has the open ones, newest first, page by page, of the workspace or of one scope", async () => {
  const place = await home();
  const made = await project(place);
  const scopes: Scope[] = [workspaceScope(place), { type: "project", id: made.id }];
  const ids: string[] = [];
  for (const scope of [...scopes, ...scopes, scopes[0] as Scope]) {
    ids.unshift((await diverge(place, place.owner, place.owner, scope)).id);
  }
  const seen: string[] = [];
  for (let query = "?limit=2"; query; ) {
    const { body } = expectStatus(await list(place.owner, place, query), 200);
    seen.push(...body.data.map((one) => one.id));
    query = body.next_cursor ? `?limit=2&cursor=${body.next_cursor}` : "";
  }
  expect(seen).toEqual(ids);
  const scoped = expectStatus(await list(place.owner, place, `?scope_type=project&scope_id=${made.id}`), 200);
  expect(scoped.body.data.map((one) => one.scope.id)).toEqual([made.id, made.id]);
  expectStatus(await resolve(place.owner, place, ids[0] ?? "", { take: "theirs" }), 200);
  expect((await list(place.owner, place)).body.data.map((one) => one.id)).toEqual(ids.slice(1));
  for (const query of [
    "?scope_type=project",
    "?scope_id=x",
    "?scope_type=galaxy&scope_id=x",
    "?limit=0",
    "?cursor=x",
  ]) {
    expectStatus((await list(place.owner, place, query)) as never, 400);
  }
});

test.each([
  [{ take: "mine" }, { name: "mine" }],
  [{ take: "theirs" }, { name: "theirs" }],
  [{ take: "value", value: { name: "ours" } }, { name: "ours" }],
])("%j is a mutation in the log, and audited", async (choice, value) => {
  const { place, editor, id, entity } = await contested();
  const resolved = expectStatus(await resolve(editor, place, id, choice), 200).body;
  const resolution = {
    take: choice.take,
    resolved_by: editor.id,
    resolved_at: expect.any(String),
    version: 3,
  };
  expect(resolved).toEqual({ id, scope: workspaceScope(place), entity, resolution });
  expect((await read(place.owner, place, id)).body.resolution).toEqual(resolution);
  const last = (await catchUp(place.owner, place, workspaceScope(place))).at(-1);
  expect(last).toMatchObject({ key: `${entity.type}/${entity.id}`, value });
  expect(last?.headers).toMatchObject({ client_id: id, mutation_id: 1, version: 3 });
  const events = await call<Page<AuditEvent>>(place.owner, "GET", `/v1/workspaces/${place.id}/audit`);
  const event = events.body.data.find((one) => one.action === "divergence.resolved");
  expect(event).toMatchObject({
    actor_id: editor.id,
    target: { type: "divergence", id },
    detail: { take: choice.take },
  });
});

test("of ten resolvers on three isolates one wins, and each other is told who and what", async () => {
  const { place, editor, id } = await contested();
  const answers = await atOnce(10, (index) => {
    const caller = { ...(index % 2 ? editor : place.owner), api: world().apis[index % 3] ?? "" };
    return resolve(caller, place, id, { take: index % 2 ? "mine" : "theirs" });
  });
  const winners = answers.filter((answer) => answer.status === 200);
  expect(winners).toHaveLength(1);
  for (const answer of answers.filter((one) => one.status !== 200)) {
    const problem = expectProblem(answer, 409, "conflict") as unknown as Record<string, unknown>;
    expect(problem.resolution).toEqual(winners[0]?.body.resolution);
  }
  expect(await catchUp(place.owner, place, workspaceScope(place))).toHaveLength(3);
});

test("who waits on other isolates has the resolution at once, and the room hears of it", async () => {
  // Nothing but the notice can tell them: the look of the feed comes too late for this test.
  await using cell = await world().restart({ FEED_CHECK_MS: "600000" }, { isolates: 3 });
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  const { id } = await diverge(place, place.owner, place.owner);
  const offset = "1_0000000000000002";
  const seat = await sit(at(place.owner, 2, cell), place);
  await using stream = await listen(at(place.owner, 1, cell), place, scope, offset);
  await poll("its place", async () => stream.controls.length > 0);
  const waiting = longPoll(at(place.owner, 2, cell), place, scope, offset);
  const key = { "idempotency-key": randomUUID() };
  expectStatus(await resolve(place.owner, place, id, { take: "mine" }, key), 200);
  const polled = expectStatus(await waiting, 200).body;
  expect(polled).toEqual(await stream.received(1));
  expect(polled[0]).toMatchObject({ value: { name: "mine" }, headers: { client_id: id, version: 3 } });
  await poll("the notice", async () => seat.frames.some(({ scopes }) => scopes?.[0]?.epoch === 3));
  // A repetition tells nobody anything new.
  expectStatus(await resolve(place.owner, place, id, { take: "mine" }, key), 200);
  seat.close();
  expect(versions(stream.messages)).toEqual([3]);
});

test("a repetition with the same key is the same answer, in one round trip", async () => {
  const { place, id } = await contested();
  const headers = { "idempotency-key": randomUUID() };
  const mine = trace();
  const first = await resolve(
    place.owner,
    place,
    id,
    { take: "mine" },
    { ...headers, traceparent: mine.traceparent },
  );
  const again = await resolve(place.owner, place, id, { take: "mine" }, headers);
  expect([expectStatus(first, 200).text, again.headers.get("idempotent-replayed")]).toEqual([
    again.text,
    "true",
  ]);
  expect((await neonCounters(mine.id)).requests).toBe(1);
});

test("a choice that has not seen what was written since is refused with the version to look at", async () => {
  const { place, editor, id, entity, early } = await contested();
  const newer = mutation(early, workspaceScope(place), { entity, base_version: 2, value: { name: "newer" } });
  expectStatus(await push(early, [newer]), 200);
  const problem = expectProblem(await resolve(editor, place, id, { take: "mine" }), 409, "conflict");
  expect((problem as unknown as Record<string, unknown>).version).toBe(3);
  expectStatus(await resolve(editor, place, id, { take: "mine", version: 3 }), 200);
});

test.each([
  {},
  { take: "both" },
  { take: "value" },
  { take: "value", value: [1] },
  { take: "value", value: { filler: "x".repeat(256 * 1024) } },
  { take: "mine", value: {} },
  { take: "mine", version: -1 },
  { take: "mine", extra: 1 },
])("the choice %# is refused", async (body) => {
  const { place, id } = await contested();
  expectStatus((await resolve(place.owner, place, id, body)) as never, 400);
  expect((await read(place.owner, place, id)).body.resolution).toBeNull();
});

test("a secret's value is no choice", async () => {
  const place = await home();
  const [one, two] = [device(place.owner, place), device(place.owner, place)];
  const fields = { entity: { type: "variable", id: "v" }, base_version: null };
  expectStatus(
    await push(one, [mutation(one, workspaceScope(place), { ...fields, value: { key: "a" } })]),
    200,
  );
  const late = await push(two, [mutation(two, workspaceScope(place), { ...fields, value: { key: "b" } })]);
  const id = expectStatus(late, 200).body.results[0]?.divergence_id ?? "";
  const secret = { take: "value", value: { key: "a", secret: true, value: "hunter2" } };
  const refused = await resolve(place.owner, place, id, secret);
  expect(expectProblem(refused, 400, "invalid-body").errors?.[0]?.pointer).toBe("/value");
  expect(refused.text).not.toContain("hunter2");
});

test("a viewer reads and does not choose; a stranger and who has no credential see nothing", async () => {
  const { place, id } = await contested();
  const viewer = await member(place, "viewer");
  expectStatus(await read(viewer, place, id), 200);
  expectProblem(await resolve(viewer, place, id, { take: "mine" }), 403, "forbidden");
  const stranger = await home();
  expectProblem(await read(stranger.owner, place, id), 404, "not-found");
  expectProblem(await read(stranger.owner, stranger, id), 404, "not-found");
  expectProblem(await resolve(stranger.owner, stranger, id, { take: "mine" }), 404, "not-found");
  expectProblem(await read(place.owner, place, nowhere("div")), 404, "not-found");
  expectProblem(await read(place.owner, place, "div_1"), 404, "not-found");
  const nobody = await call(null, "GET", `${world().api}${pathOf(place, id)}`);
  expect([401, 429]).toContain(nobody.status);
});

test("a key of another project sees none of it", async () => {
  const place = await home();
  const [one, other] = [await project(place), await project(place)];
  const { id } = await diverge(place, place.owner, place.owner, { type: "project", id: one.id });
  const keys = [one, other].map((made) => apiKey(place, { scopes: ["sync"], project_id: made.id }));
  const [mine, theirs] = (await Promise.all(keys)).map((key) => program(key));
  expect((await list(mine as User, place)).body.data.map((found) => found.id)).toEqual([id]);
  expect((await list(theirs as User, place)).body.data).toEqual([]);
  expectProblem(await read(theirs as User, place, id), 404, "not-found");
  expectProblem(await resolve(theirs as User, place, id, { take: "mine" }), 404, "not-found");
});

test("past its retention it is gone, and it says when that is", async () => {
  await using cell = await world().restart({ SYNC_DIVERGENCE_RETENTION_MS: "2000" });
  const place = await home(cell.api);
  const { id } = await diverge(place, place.owner, place.owner);
  const found = expectStatus(await read(place.owner, place, id), 200).body;
  expect(Date.parse(found.expires_at) - Date.parse(found.created_at)).toBe(2_000);
  await poll("its end", async () => (await read(place.owner, place, id)).status === 404);
  expectProblem(await resolve(place.owner, place, id, { take: "mine" }), 404, "not-found");
  expect((await list(place.owner, place)).body.data).toEqual([]);
});
