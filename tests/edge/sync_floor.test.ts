/** A log that was truncated, and what the operator sees of its partitions. */
import { expect, test } from "vitest";
import { call, expectProblem, expectStatus, home, type OwnedWorkspace, user } from "./actors.ts";
import { sql, uuidOf } from "./database.ts";
import { device, mutation, push, readScope, workspaceScope } from "./pushes.ts";
import { world } from "./world.ts";

/** Six changes: three entities, each written twice. */
async function sixChanges(place: OwnedWorkspace): Promise<void> {
  const one = device(place.owner, place);
  for (const base_version of [null, 1]) {
    const writes = ["a", "b", "c"].map((id, n) =>
      mutation(one, workspaceScope(place), {
        entity: { type: "request", id },
        base_version: base_version && n + 1,
      }),
    );
    expectStatus(await push(one, writes), 200);
  }
}

/** As the archive and the operator do it. */
async function truncate(place: OwnedWorkspace, floor: number): Promise<void> {
  const scope = [uuidOf(place.id), "workspace", place.id, floor];
  await sql("select sync_archived($1, $2, $3, $4)", scope);
  await sql("select * from sync_truncate($1, $2, $3, $4)", scope);
}

const offset = (epoch: number) => `1_${String(epoch).padStart(16, "0")}`;

test("below the floor the stream is gone; from the floor on it is as it was", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  await sixChanges(place);
  const read = (from: string) => readScope(place.owner, place, scope, `?offset=${from}`);
  const before = expectStatus(await read(offset(4)), 200);
  await truncate(place, 4);
  for (const gone of ["-1", offset(0), offset(3)]) expectProblem(await read(gone), 410, "offset-gone");
  const after = expectStatus(await read(offset(4)), 200);
  expect([after.text, after.headers.get("etag")]).toEqual([before.text, before.headers.get("etag")]);
  expect(after.body.map(({ key, headers }) => [key, headers.version])).toEqual([
    ["request/b", 5],
    ["request/c", 6],
  ]);
  expect(expectStatus(await read("now"), 200).headers.get("stream-next-offset")).toBe(offset(6));
});

test("what lies below the floor is still current to who pushes, and its history is not", async () => {
  const place = await home();
  await sixChanges(place);
  await truncate(place, 6);
  const [one, two] = [device(place.owner, place), device(place.owner, place)];
  const entity = { type: "request", id: "a" };
  const late = mutation(one, workspaceScope(place), { entity, base_version: 1, value: { late: true } });
  const answer = expectStatus(await push(one, [late]), 200);
  expect(answer.body.results).toMatchObject([{ outcome: "diverged", version: 4 }]);
  const known = mutation(two, workspaceScope(place), { entity, base_version: 4 });
  expect(expectStatus(await push(two, [known]), 200).body.results).toMatchObject([
    { outcome: "applied", version: 7 },
  ]);
});

test("a snapshot of the floor is whole, also of what was written since", async () => {
  const place = await home();
  await sixChanges(place);
  await truncate(place, 4);
  const left = await sql("select 1 from sync_change where workspace_id = $1", [uuidOf(place.id)]);
  expect(left).toHaveLength(5);
  const page = await readScope(place.owner, place, workspaceScope(place), `?offset=${offset(4)}_snapshot`);
  expect(expectStatus(page, 200).body.map(({ key, headers }) => [key, headers.version])).toEqual([
    ["request/a", 4],
    ["request/b", 2],
    ["request/c", 3],
  ]);
  expect(page.headers.get("stream-next-offset")).toBe(offset(4));
});

test("the operator, and nobody else, sees how the partitions fare", async () => {
  const path = `${world().api}/v1/operator/sync/partitions`;
  expectProblem(await call(null, "GET", path), 401, "unauthenticated");
  expectProblem(await call(await user(), "GET", path), 401, "unauthenticated");
  const headers = { authorization: `Bearer ${world().operatorToken}` };
  type Partition = { table: string; partition: number; rows: number; index_bytes: number };
  const { data } = expectStatus(
    await call<{ data: Partition[] }>(null, "GET", path, undefined, headers),
    200,
  ).body;
  expect(data.map(({ table, partition }) => `${table} ${partition}`)).toEqual(
    ["sync_change", "sync_state"].flatMap((table) => Array.from({ length: 16 }, (_, n) => `${table} ${n}`)),
  );
  for (const { rows, index_bytes } of data) {
    expect(rows).toBeGreaterThanOrEqual(0);
    expect(index_bytes).toBeGreaterThan(0);
  }
});
