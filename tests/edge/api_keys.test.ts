/** `/v1/workspaces/{ws}/api-keys`: shown once, known by digest only, rotated and revoked in time. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import {
  type Answer,
  call,
  expectProblem,
  expectStatus,
  home,
  member,
  nowhere,
  type OwnedWorkspace,
  project,
  type User,
  unique,
} from "./actors.ts";
import { sql, uuidOf } from "./database.ts";
import { apiKey, keysPath, program } from "./keys.ts";
import type { ApiKey, AuditEvent, NewApiKey, Page } from "./shapes.ts";
import { poll, world } from "./world.ts";

/** The published bound of a narrowing, and what a loaded machine may add to a measurement of it. */
const BOUND_MS = 1_000;
const SLACK_MS = 500;

test("a key is in the answer of its creation and nowhere else", async () => {
  const place = await home();
  const made = await project(place);
  const body = {
    name: " Deploys ",
    scopes: ["write", "read"],
    project_id: made.id,
    allowed_addresses: ["127.0.0.1", "2001:db8::/32"],
    expires_at: "2100-01-01T00:00:00Z",
  };
  const created = expectStatus(await call<NewApiKey>(place.owner, "POST", keysPath(place), body), 201);
  const { key, ...rest } = created.body;
  expect(rest).toEqual({
    id: expect.stringMatching(/^key_/),
    workspace_id: place.id,
    name: "Deploys",
    scopes: ["read", "write"],
    project_id: made.id,
    allowed_addresses: ["127.0.0.1/32", "2001:db8::/32"],
    created_by: place.owner.id,
    expires_at: "2100-01-01T00:00:00.000000Z",
    last_used_at: null,
    created_at: expect.any(String),
  });
  expect(key).toMatch(new RegExp(`^drey_dev_${rest.id}_[0-9A-Za-z]{49}$`));
  expect(created.headers.get("cache-control")).toBe("no-store");
  const list = expectStatus(await call<Page<ApiKey>>(place.owner, "GET", keysPath(place)), 200);
  expect(list.body).toEqual({ data: [rest], next_cursor: null });
});

test("the database holds a digest, never the key, and a replay shows the same key all the same", async () => {
  const place = await home();
  const headers = { "idempotency-key": randomUUID() };
  const body = { name: "Again", scopes: ["read"] };
  const make = () => call<NewApiKey>(place.owner, "POST", keysPath(place), body, headers);
  const first = expectStatus(await make(), 201);
  const again = expectStatus(await make(), 201);
  expect(again.body).toEqual(first.body);
  expect([first, again].map((answer) => answer.headers.get("idempotent-replayed"))).toEqual([null, "true"]);
  const { key, id } = first.body;
  const rows = await sql<{ row: string }>(
    `select to_jsonb(k)::text as row from api_key k where k.key_id = $1
     union all select to_jsonb(i)::text from idempotency i where i.idem_key = $2
     union all select to_jsonb(e)::text from audit_event e where e.target_id = $1`,
    [uuidOf(id), headers["idempotency-key"]],
  );
  expect(rows).toHaveLength(3);
  const secret = key.slice(-49);
  const hex = Buffer.from(secret).toString("hex");
  expect(rows.filter(({ row }) => row.includes(secret) || row.includes(hex))).toEqual([]);
  expectStatus(await read(program(again.body), place), 200);
});

test("an editor may neither make, list, rotate nor revoke keys", async () => {
  const place = await home();
  const editor = await member(place, "editor");
  const { id } = await apiKey(place);
  const body = { name: "Mine", scopes: ["read"] };
  for (const answer of [
    await call(editor, "POST", keysPath(place), body),
    await call(editor, "GET", keysPath(place)),
    await call(editor, "POST", `${keysPath(place, id)}/rotate`, { overlap_seconds: 0 }),
    await call(editor, "DELETE", keysPath(place, id)),
  ]) {
    expectProblem(answer, 403, "forbidden");
  }
});

test.each([
  {},
  { name: "" },
  { scopes: [] },
  { scopes: ["read", "read"] },
  { scopes: ["everything"] },
  { expires_at: "2020-01-01T00:00:00Z" },
  { expires_at: "tomorrow" },
  { allowed_addresses: ["10.0.0.1/8"] },
  { allowed_addresses: Array.from({ length: 21 }, (_, n) => `10.0.0.${n}`) },
  { project_id: "prj_1" },
])("the key %j is refused", async (wrong) => {
  const place = await home();
  const body = Object.keys(wrong).length > 0 ? { name: "Key", scopes: ["read"], ...wrong } : wrong;
  const problem = expectProblem(await call(place.owner, "POST", keysPath(place), body), 400, "invalid-body");
  expect(problem.errors?.length).toBeGreaterThan(0);
});

test("a key cannot be restricted to a project of somebody else, or to none", async () => {
  const [place, foreign] = [await home(), await project(await home())];
  for (const project_id of [foreign.id, nowhere("prj")]) {
    const body = { name: "Key", scopes: ["read"], project_id };
    expectProblem(await call(place.owner, "POST", keysPath(place), body), 404, "not-found");
  }
});

test("a revoked key is gone from three isolates within the bound, and writes nothing from the answer on", async () => {
  const place = await home();
  const held = await apiKey(place, { scopes: ["read", "write"] });
  const callers = world().apis.map((api) => program(held, api));
  for (const caller of callers) expectStatus(await read(caller, place), 200);
  expectStatus(await call(place.owner, "DELETE", keysPath(place, held.id)), 204);
  const end = Date.now() + BOUND_MS + SLACK_MS;
  const writes = await Promise.all(callers.map((caller) => write(caller, place)));
  for (const answer of writes) expectProblem(answer, 401, "invalid-token");
  await Promise.all(callers.map((caller) => untilRefused(caller, place, end - Date.now())));
  for (const caller of callers) {
    const refused = await read(caller, place);
    expectProblem(refused, 401, "invalid-token");
    expect(refused.headers.get("www-authenticate")).toMatch(/^Bearer\b.*error="invalid_token"/);
  }
  expectProblem(await call(place.owner, "DELETE", keysPath(place, held.id)), 404, "not-found");
});

test("after a rotation both keys work until the old one's overlap is over, then the new one alone", async () => {
  const place = await home();
  const old = await apiKey(place, { scopes: ["read", "write"] });
  const callers = world().apis.map((api) => program(old, api));
  for (const caller of callers) expectStatus(await read(caller, place), 200);
  const since = Date.now();
  const fresh = (await rotate(place, old, 2)).body;
  expect({ ...fresh, id: "", key: "", created_at: "" }).toEqual({
    ...old,
    id: "",
    key: "",
    created_at: "",
  });
  expect([fresh.id, fresh.key]).not.toEqual([old.id, old.key]);
  for (const caller of [...callers, program(fresh)]) expectStatus(await read(caller, place), 200);
  expectStatus(await write(program(old), place), 201);
  await Promise.all(callers.map((caller) => untilRefused(caller, place)));
  expect(Date.now() - since).toBeGreaterThanOrEqual(1_900);
  for (const caller of callers) expectProblem(await read(caller, place), 401, "token-expired");
  expectProblem(await rotateAnyhow(place, old, 0), 409, "conflict");
  expectStatus(await read(program(fresh), place), 200);
});

test("a rotation without overlap ends the old key at once, for a replay shows the new one again", async () => {
  const place = await home();
  const old = await apiKey(place, { scopes: ["read", "write"] });
  for (const api of world().apis) expectStatus(await read(program(old, api), place), 200);
  const headers = { "idempotency-key": randomUUID() };
  const first = await rotate(place, old, 0, headers);
  for (const api of world().apis) expect((await write(program(old, api), place)).status).toBe(401);
  const again = await rotate(place, old, 0, headers);
  expect(again.body).toEqual(first.body);
  expect(again.headers.get("idempotent-replayed")).toBe("true");
  expectStatus(await write(program(again.body), place), 201);
});

test("who rotates a colleague's key does not come to act as him", async () => {
  const place = await home();
  const colleague = await member(place, "admin");
  const theirs = await apiKey(place, {}, colleague);
  expect(theirs.created_by).toBe(colleague.id);
  expect((await rotate(place, theirs, 0)).body.created_by).toBe(place.owner.id);
});

test.each([-1, 604_801, 0.5, null])("the overlap %j is refused", async (overlap_seconds) => {
  const place = await home();
  const { id } = await apiKey(place);
  const answer = await call(place.owner, "POST", `${keysPath(place, id)}/rotate`, { overlap_seconds });
  expectProblem(answer, 400, "invalid-body");
});

test("a key ends when it was said to", async () => {
  const place = await home();
  const held = await apiKey(place, { expires_at: new Date(Date.now() + 1_500).toISOString() });
  expectStatus(await read(program(held), place), 200);
  await untilRefused(program(held), place);
  expectProblem(await read(program(held), place), 401, "token-expired");
  expectProblem(await read(program(held, world().apis[1]), place), 401, "token-expired");
});

test("what happens to keys, and what they do, is in the audit", async () => {
  const place = await home();
  const held = await apiKey(place, { scopes: ["write"] });
  expectStatus(await write(program(held), place), 201);
  const fresh = (await rotate(place, held, 0)).body;
  expectStatus(await call(place.owner, "DELETE", keysPath(place, fresh.id)), 204);
  const events = (await call<Page<AuditEvent>>(place.owner, "GET", `/v1/workspaces/${place.id}/audit`)).body
    .data;
  const told = events.map(({ action, target, detail }) => [action, target.id, detail.api_key, detail.to]);
  expect(told.slice(0, 4)).toEqual([
    ["api_key.revoked", fresh.id, undefined, undefined],
    ["api_key.rotated", held.id, undefined, fresh.id],
    ["project.created", expect.stringMatching(/^prj_/), held.id, undefined],
    ["api_key.created", held.id, undefined, undefined],
  ]);
  expect(new Set(events.map((event) => event.actor_id))).toEqual(new Set([place.owner.id]));
});

test("a key's use is noted, off the request's way", async () => {
  const place = await home();
  const held = await apiKey(place);
  expectStatus(await read(program(held), place), 200);
  const used = await poll("the use to be noted", async () => {
    const list = await call<Page<ApiKey>>(place.owner, "GET", keysPath(place));
    return list.body.data[0]?.last_used_at;
  });
  expect(Math.abs(Date.now() - Date.parse(used))).toBeLessThan(30_000);
});

async function rotate(
  place: OwnedWorkspace,
  key: ApiKey,
  overlap: number,
  headers: Record<string, string> = {},
): Promise<Answer<NewApiKey>> {
  return expectStatus(await rotateAnyhow(place, key, overlap, headers), 201) as Answer<NewApiKey>;
}

function rotateAnyhow(
  place: OwnedWorkspace,
  key: ApiKey,
  overlap_seconds: number,
  headers: Record<string, string> = {},
): Promise<Answer<unknown>> {
  return call(place.owner, "POST", `${keysPath(place, key.id)}/rotate`, { overlap_seconds }, headers);
}

function read(caller: User, place: OwnedWorkspace): Promise<Answer<unknown>> {
  return call(caller, "GET", `/v1/workspaces/${place.id}`);
}

function write(caller: User, place: OwnedWorkspace): Promise<Answer<unknown>> {
  return call(caller, "POST", `/v1/workspaces/${place.id}/projects`, { name: unique("Project") });
}

/** Who asks later than that is refused. */
function untilRefused(caller: User, place: OwnedWorkspace, withinMs?: number): Promise<boolean> {
  const isRefused = async () => (await read(caller, place)).status === 401;
  return poll("the key to be refused", isRefused, withinMs);
}
