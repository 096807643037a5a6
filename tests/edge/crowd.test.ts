/** More callers than an isolate's tables hold, and gates that die under callers who hold leases. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type Answer,
  atOnce,
  call,
  expectStatus,
  home,
  insured,
  inTurn,
  member,
  type OwnedWorkspace,
  organisation,
  type User,
  unique,
  user,
  workspace,
} from "./actors.ts";
import { sql, uuidOf } from "./database.ts";
import type { Page, Project } from "./shapes.ts";
import { type OwnCell, poll, world } from "./world.ts";

/** More than an isolate's table of verified tokens holds, all at one isolate; `CROWD=2000` is quicker. */
const CROWD = Number(process.env.CROWD ?? 10_000);
const WORKSPACES = 4;
const AT_ONCE = 32;
const BURST = 40;
const HOUR_MS = 3_600_000;
let cell: OwnCell;

beforeAll(async () => {
  const standard = { base: BURST, burst: BURST, window_ms: HOUR_MS, block_ms: 0 };
  // A workspace shares several of its members' limits: here the crowd is meant to fit in.
  const relaxed = { base: 20_000, burst: 20_000 };
  const limits = { standard, relaxed, anonymous: { base: 1_000_000 } };
  cell = await world().restart({ LIMITS: JSON.stringify(limits) }, { isolates: 3 });
});
afterAll(() => cell.stop());

test(`${CROWD} callers whom no isolate has seen before are all let in, and each still has limits of his own`, async () => {
  const org = await organisation(await user(cell.api));
  const places = await inTurn(WORKSPACES, () => workspace(org));
  const crowd = await joined(org, places, CROWD);
  const since = Date.now();
  const statuses = new Map<number, number>();
  const greedy = crowd[0] ?? expect.unreachable();
  const pushes: Answer<unknown>[] = [];
  await each(crowd, async (caller, index) => {
    const answer = await call<unknown>(caller, "GET", `/v1/workspaces/${caller.place.id}`);
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    if (index % 20 === 0) pushes.push(await push(greedy, greedy.place));
  });
  expect([...statuses]).toEqual([[200, CROWD]]);
  // The one who asked for more than his share got his share, and no more, however many came between.
  const pushed = pushes.filter((answer) => answer.status === 200).length;
  expect(pushed).toBeLessThanOrEqual(BURST + refilled(since));
  expect(pushed).toBeGreaterThanOrEqual(Math.min(BURST, pushes.length) - Math.floor(BURST / 8));
  // Whoever came first is still who he is, and in nobody else's workspace.
  const foreign = places[1] ?? expect.unreachable();
  expectStatus(await call(greedy, "GET", `/v1/workspaces/${greedy.place.id}`), 200);
  expectStatus(await call(greedy, "GET", `/v1/workspaces/${foreign.id}`), 404);
}, 900_000);

test("a gate that dies again and again under callers with leases admits no more than the bound", async () => {
  const place = await home(cell.api);
  const colleague = await member(place, "admin");
  const since = Date.now();
  const answers: Answer<unknown>[] = [];
  for (let round = 0; round < 4; round += 1) {
    // The gate is told of a colleague's write, so that there is one to end.
    expectStatus(await told(colleague, place), 200);
    const calls = atOnce(24, (index) => push({ ...place.owner, api: cell.apis[index % 3] ?? "" }, place));
    await cell.evict("WorkspaceGate", place.id);
    answers.push(...(await calls));
  }
  // What the isolates still hold of their leases is spent, or over, and then everybody is refused.
  for (const api of cell.apis) answers.push(...(await inTurn(8, () => push({ ...place.owner, api }, place))));
  expect(new Set(answers.slice(-3).map((answer) => answer.status))).toEqual(new Set([429]));
  const admitted = answers.filter((answer) => answer.status === 200);
  // A call whose gate died under it may be admitted by its isolate, on a tenth of the limit.
  const byIsolates = insured(admitted, BURST);
  expect(byIsolates).toBeLessThanOrEqual(3 * (BURST / 10));
  expect(admitted.length - byIsolates).toBeLessThanOrEqual(BURST + refilled(since));
});

test("isolates that race a write: named its revision, no read is older; without, none is a second behind", async () => {
  const place = await home(cell.api);
  const path = `/v1/workspaces/${place.id}/projects`;
  const readers = cell.apis.map((api) => ({ ...place.owner, api }));
  for (const reader of readers) expectStatus(await call(reader, "GET", path), 200);
  for (let round = 0; round < 6; round += 1) {
    let over = false;
    const begun: { at: number; ids: string[] }[] = [];
    const racing = readers.map(async (reader) => {
      while (!over) {
        const at = Date.now();
        const page = expectStatus(await call<Page<Project>>(reader, "GET", path), 200);
        begun.push({ at, ids: page.body.data.map((one) => one.id) });
      }
    });
    const writer = readers[round % 3] ?? place.owner;
    const made = await call<Project>(writer, "POST", path, { name: unique("Raced") });
    const revision = String(expectStatus(made, 201).headers.get("x-drey-revision"));
    const answered = Date.now();
    const named = await Promise.all(
      readers.map((reader) =>
        call<Page<Project>>(reader, "GET", path, undefined, { "x-drey-revision": revision }),
      ),
    );
    await poll("a second", async () => Date.now() > answered + 1_100);
    over = true;
    await Promise.all(racing);
    for (const page of named) {
      expect(expectStatus(page, 200).body.data.map((one) => one.id)).toContain(made.body.id);
      expect(Number(page.headers.get("x-drey-revision"))).toBeGreaterThanOrEqual(Number(revision));
    }
    const behind = begun.filter((one) => one.at > answered + 1_000 && !one.ids.includes(made.body.id));
    expect(behind).toEqual([]);
    expect(begun.some((one) => one.ids.includes(made.body.id))).toBe(true);
  }
});

type Joined = User & { place: OwnedWorkspace };

/** People of whom only Postgres knows: members of one of the places each, with a token nobody has sent yet. */
async function joined(org: { id: string }, places: OwnedWorkspace[], count: number): Promise<Joined[]> {
  const prefix = unique("crowd");
  const subs = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
  await sql(
    `with people as (insert into user_account (user_id, issuer, subject)
       select gen_random_uuid(), $1, sub from unnest($2::text[]) sub returning user_id, subject),
     inside as (insert into org_member (org_id, user_id, role, org_created_at)
       select o.org_id, p.user_id, 'member', o.created_at from people p, org o where o.org_id = $3::uuid
       returning user_id)
     select count(*) from inside`,
    [world().issuer, subs, uuidOf(org.id)],
  );
  await sql(
    `insert into workspace_member (workspace_id, user_id, org_id, role, workspace_created_at)
     select w.workspace_id, u.user_id, w.org_id, 'editor', w.created_at
     from unnest($1::text[]) with ordinality s(sub, at)
     join user_account u on u.issuer = $2 and u.subject = s.sub
     join workspace w on w.workspace_id = ($3::uuid[])[1 + (s.at - 1) % cardinality($3::uuid[])]`,
    [subs, world().issuer, places.map((place) => uuidOf(place.id))],
  );
  const tokens: string[] = [];
  await each(subs, async (sub, index) => {
    tokens[index] = await world().token({ sub });
  });
  return subs.map((sub, index) => ({
    id: "",
    sub,
    email: "",
    name: "",
    token: tokens[index] ?? "",
    api: cell.apis[0] ?? "",
    place: places[index % places.length] ?? expect.unreachable(),
  }));
}

/** Does `act` with every one of `all`, `AT_ONCE` of them at a time. */
async function each<T>(all: T[], act: (one: T, index: number) => Promise<void>): Promise<void> {
  const entries = all.entries();
  await atOnce(AT_ONCE, async () => {
    for (const [index, one] of entries) await act(one, index);
  });
}

/** What has come back since, and what a lease of five seconds may add. */
function refilled(since: number): number {
  return Math.ceil(((Date.now() - since + 5_000) * BURST) / HOUR_MS);
}

/** A rename, of which the workspace's gate is told before the answer. */
function told(caller: User, place: OwnedWorkspace): Promise<Answer<unknown>> {
  return call(caller, "PATCH", `/v1/workspaces/${place.id}`, { name: unique("Told") });
}

function push(caller: User, place: OwnedWorkspace): Promise<Answer<unknown>> {
  const body = { client_id: unique("client"), mutations: [] };
  return call(caller, "POST", `/v1/workspaces/${place.id}/sync/push`, body);
}
