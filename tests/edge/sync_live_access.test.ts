/**
 * Live readers whose access ends, or whose scope does: they are cut off within one look, and the others read on.
 */
import { expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, member, project } from "./actors.ts";
import { removeUntold, sql, uuidOf } from "./database.ts";
import { apiKey, keysPath, program } from "./keys.ts";
import { workspaceScope } from "./pushes.ts";
import { at, listen, longPoll, pushOne, START, versions } from "./streams.ts";
import { poll, world } from "./world.ts";

test("a member who is removed is cut off at the next look, and the others read on", async () => {
  await using cell = await world().restart({ FEED_CHECK_MS: "300" }, { isolates: 3 });
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  const viewer = await member(place, "viewer");
  await using gone = await listen(at(viewer, 1, cell), place, scope, START);
  await using stays = await listen(at(place.owner, 2, cell), place, scope, START);
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/members/${viewer.id}`), 204);
  await poll("his end", async () => gone.ended());
  await pushOne(place.owner, place, scope);
  expect(versions(await stays.received(1))).toEqual([1]);
  expect(gone.messages).toEqual([]);
  expectProblem(await longPoll(at(viewer, 1, cell), place, scope, START), 404, "not-found");
});

test("a key that is revoked, or a credential that ends, ends its streams, and other keys begin again", async () => {
  await using cell = await world().restart({ FEED_CHECK_MS: "300" }, { isolates: 2 });
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  const revoked = await apiKey(place, { scopes: ["sync"] });
  const kept = program(await apiKey(place, { scopes: ["sync"] }), cell.apis[1]);
  const began = Date.now();
  const brief = { ...place.owner, token: await world().token({ sub: place.owner.sub, expires_in: 4 }) };
  await using gone = await listen(program(revoked, cell.apis[1]), place, scope, START);
  await using stays = await listen(kept, place, scope, START);
  await using ends = await listen(brief, place, scope, START);
  expect([gone.status, stays.status, ends.status]).toEqual([200, 200, 200]);
  expectStatus(await call(place.owner, "DELETE", keysPath(place, revoked.id)), 204);
  await poll("its end", async () => gone.ended());
  expectProblem(await longPoll(program(revoked, cell.apis[1]), place, scope, START), 401, "invalid-token");
  await poll("the end of the credential", async () => ends.ended());
  expect(Date.now() - began).toBeGreaterThan(2_900);
  await pushOne(place.owner, place, scope);
  // Which key it was is not asked: the other one came to its end as well, and is admitted again.
  await using again = await listen(kept, place, scope, START);
  expect(versions(await again.received(1))).toEqual([1]);
  expect([...gone.messages, ...ends.messages]).toEqual([]);
});

test("one who was removed while every notice was lost is cut off as well", async () => {
  // The gate alone would vouch for him for ten minutes more.
  const vars = { FEED_CHECK_MS: "300", GATE_REFRESH_MS: "600000", GATE_STALE_MS: "600000" };
  await using cell = await world().restart(vars, { isolates: 1 });
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  const viewer = await member(place, "viewer");
  await using stays = await listen(place.owner, place, scope, START);
  await using gone = await listen(viewer, place, scope, START);
  await removeUntold(place, viewer);
  await poll("his end", async () => gone.ended());
  expect(stays.ended()).toBe(false);
  expectProblem(await longPoll(viewer, place, scope, START), 404, "not-found");
});

test("a scope that begins another life ends its readers, and their offsets are gone", async () => {
  await using cell = await world().restart({ FEED_CHECK_MS: "300" }, { isolates: 1 });
  const place = await home(cell.api);
  const scope = workspaceScope(place);
  await pushOne(place.owner, place, scope);
  const offset = "1_0000000000000001";
  await using stream = await listen(place.owner, place, scope, offset);
  expect(stream.status).toBe(200);
  await sql("update sync_scope set generation = 2 where workspace_id = $1", [uuidOf(place.id)]);
  await poll("its end", async () => stream.ended());
  expectProblem(await longPoll(place.owner, place, scope, offset), 410, "offset-gone");
  const again = expectStatus(await longPoll(place.owner, place, scope, "-1"), 200);
  expect(again.headers.get("stream-next-offset")).toBe("2_0000000000000001");
});

test("a project that is deleted ends its readers", async () => {
  await using cell = await world().restart({ FEED_CHECK_MS: "300" }, { isolates: 1 });
  const place = await home(cell.api);
  const made = await project(place);
  const scope = { type: "project", id: made.id };
  await pushOne(place.owner, place, scope);
  await using stream = await listen(place.owner, place, scope, "1_0000000000000001");
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/projects/${made.id}`), 204);
  await poll("its end", async () => stream.ended());
  expectProblem(await longPoll(place.owner, place, scope, "1_0000000000000001"), 404, "not-found");
});
