/** Who pushes for whom, from where, and to what: those who should not reach nothing, and nobody else suffers. */
import { expect, test } from "vitest";
import {
  atOnce,
  call,
  expectProblem,
  expectStatus,
  home,
  member,
  nowhere,
  project,
  unique,
} from "./actors.ts";
import { holding, uuidOf } from "./database.ts";
import { apiKey, program } from "./keys.ts";
import {
  catchUp,
  codes,
  device,
  mutation,
  openSession,
  push,
  readScope,
  type Scope,
  workspaceScope,
} from "./pushes.ts";
import { poll, world } from "./world.ts";

const request = (id: string) => ({ type: "request", id });

test("a client that sends one batch many times at once has it written once, and each answer tells the same", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const batch = [
    mutation(one, scope),
    mutation(one, scope),
    mutation(one, scope, { op: "what" as "upsert" }),
  ];
  const answers = await atOnce(12, (n) =>
    push({ ...one, user: { ...place.owner, api: world().apis[n % 3] ?? "" } }, batch),
  );
  const told = answers.map((answer) =>
    expectStatus(answer, 200).body.results.map(({ original, id, ...result }) => [
      id,
      (original ?? result).outcome,
      (original ?? result).epoch,
    ]),
  );
  for (const one of told)
    expect(one).toEqual([
      [1, "applied", 1],
      [2, "applied", 2],
      [3, "rejected", undefined],
    ]);
  const firsts = answers.filter(({ body }) => body.results[0]?.outcome === "applied");
  expect([firsts.length, (await catchUp(place.owner, place, scope)).length]).toEqual([1, 2]);
});

test("two that pass for one client write each number once, and the other one hears whose it is", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const clientId = unique("client");
  const answers = await atOnce(6, (by) => {
    const copy = device(place.owner, place, clientId);
    return push(copy, [mutation(copy, scope, { entity: request(`r-${by}`), value: { by } })]);
  });
  const outcomes = answers.map((answer) => expectStatus(answer, 200).body.results[0]?.outcome);
  expect(outcomes.toSorted()).toEqual(["applied", ...Array(5).fill("duplicate")]);
  const log = await catchUp(place.owner, place, scope);
  expect(log.map(({ key }) => key)).toEqual([`request/r-${outcomes.indexOf("applied")}`]);
});

test("a session is one client's of one user, whoever names it", async () => {
  const place = await home();
  const editor = await member(place, "editor");
  const scope = workspaceScope(place);
  const [one, own, theirs] = [device(place.owner, place), device(place.owner, place), device(editor, place)];
  const { id } = expectStatus(await openSession(one), 201).body;
  for (const other of [own, theirs]) {
    expectProblem(
      await push(other, [mutation(other, scope)], {}, { session_id: id }),
      409,
      "session-expired",
    );
  }
  expectProblem(
    await push(device(editor, place, one.clientId), [], {}, { session_id: id }),
    403,
    "client-mismatch",
  );
  expect(await catchUp(place.owner, place, scope)).toEqual([]);
});

test("scopes that are gone, elsewhere, or of nothing are their mutation's fault alone", async () => {
  const [place, other] = [await home(), await home()];
  const [made, gone, foreign] = [await project(place), await project(place), await project(other)];
  const scope = { type: "project", id: made.id };
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, { type: "project", id: gone.id })]), 200);
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/projects/${gone.id}`), 204);
  const editor = await member(place, "editor");
  const scopes: [Scope, string][] = [
    [{ type: "project", id: gone.id }, "unknown-scope"],
    [{ type: "project", id: foreign.id }, "unknown-scope"],
    [{ type: "project", id: nowhere("prj") }, "unknown-scope"],
    [{ type: "project", id: made.id.toUpperCase() }, "invalid-scope"],
    [{ type: "workspace", id: other.id }, "unknown-scope"],
    [{ type: "user", id: editor.id }, "unknown-scope"],
    [{ type: "user", id: nowhere("user") }, "unknown-scope"],
    [{ type: "collection", id: "never-made" }, "unknown-scope"],
    [{ type: "environment", id: "never-made" }, "unknown-scope"],
    [{ type: "Project", id: made.id }, "invalid-scope"],
    [scope, "applied"],
  ];
  const answer = await push(
    one,
    scopes.map(([of]) => mutation(one, of)),
  );
  expect(codes(expectStatus(answer, 200).body)).toEqual(scopes.map(([, code]) => code));
  for (const [of] of scopes.slice(0, -1))
    expectProblem(await readScope(place.owner, place, of), 404, "not-found");
});

test("a project that goes while a push is on its way to it is no scope any more", async () => {
  const place = await home();
  const [made, stays] = [await project(place), await project(place)];
  const one = device(place.owner, place);
  const deleting = "delete from project where workspace_id = $1 and project_id = $2";
  const held = await holding(deleting, [uuidOf(place.id), uuidOf(made.id)]);
  const pushed = push(one, [
    mutation(one, { type: "project", id: made.id }),
    mutation(one, { type: "project", id: stays.id }),
  ]);
  await poll("the push to wait for it", async () => (await held.waiting()) > 0);
  await held.commit();
  expect(codes(expectStatus(await pushed, 200).body)).toEqual(["unknown-scope", "applied"]);
});

test("a key of one project makes no scope beside it, and a viewer's pushes leave no trace", async () => {
  const place = await home();
  const made = await project(place);
  const key = program(await apiKey(place, { scopes: ["sync"], project_id: made.id }));
  const robot = device(key, place);
  const things = ["collection", "environment"].map((type) => ({ type, id: unique(type) }));
  const answer = await push(robot, [
    ...things.map((entity) => mutation(robot, { type: "project", id: made.id }, { entity, value: {} })),
    ...things.map((scope) => mutation(robot, scope)),
    mutation(robot, { type: "user", id: place.owner.id }),
    mutation(robot, workspaceScope(place)),
  ]);
  expect(codes(expectStatus(answer, 200).body)).toEqual([
    "applied",
    "applied",
    ...Array(4).fill("unknown-scope"),
  ]);
  for (const scope of [...things, { type: "user", id: place.owner.id }, workspaceScope(place)]) {
    expectProblem(await readScope(key, place, scope), 404, "not-found");
    expect(expectStatus(await readScope(place.owner, place, scope), 200).body).toEqual([]);
  }
  const viewer = device(await member(place, "viewer"), place);
  expectProblem(await push(viewer, [mutation(viewer, workspaceScope(place))]), 403, "forbidden");
  // The name is still free.
  const same = device(place.owner, place, viewer.clientId);
  expectStatus(await push(same, [mutation(same, workspaceScope(place))]), 200);
});

test("a live read answers no condition, whatever tag it carries, and takes any cursor", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  expectStatus(await push(one, [mutation(one, scope)]), 200);
  const first = "1_0000000000000000";
  const tag = String((await readScope(place.owner, place, scope, `?offset=${first}`)).headers.get("etag"));
  for (const cursor of ["0", "-1", "banana", "18446744073709551615", "99999999999999999999999", "1.5", ""]) {
    const query = `?offset=${first}&live=long-poll&cursor=${cursor}`;
    const answer = await readScope(place.owner, place, scope, query, { "if-none-match": tag });
    expect([answer.status, answer.body?.length, cursor]).toEqual([200, 1, cursor]);
    expect(answer.headers.get("etag")).toBeNull();
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(answer.headers.get("stream-cursor")).toMatch(/^\d+$/);
  }
  const head = await call(
    place.owner,
    "HEAD",
    `/v1/workspaces/${place.id}/sync/${scope.type}/${scope.id}?offset=${first}&live=sse`,
  );
  expect([head.status, head.text]).toEqual([200, ""]);
});
