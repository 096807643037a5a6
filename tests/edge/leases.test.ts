/** What leases give (no hop for a hot caller) and what they must not (more than the bound, access after a removal). */
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
  project,
  type User,
} from "./actors.ts";
import type { Page, Project } from "./shapes.ts";
import { type OwnCell, poll, world } from "./world.ts";

const HOURLY = 100;
const HOUR_MS = 3_600_000;
/** The published second, and what a notice and a question to a gate take on a busy machine. */
const BEHIND_MS = 1_000 + 500;
let hourly: OwnCell;
let unlimited: OwnCell;

beforeAll(async () => {
  const tier = { base: HOURLY, burst: HOURLY, window_ms: HOUR_MS, block_ms: 0 };
  const limits = { standard: tier, anonymous: { base: 100_000 } };
  // A thousand at once are more than a busy machine answers in ten seconds.
  const patience = { GATE_TIMEOUT_MS: "28000", REQUEST_DEADLINE_MS: "30000" };
  hourly = await world().restart({ LIMITS: JSON.stringify(limits), ...patience }, { isolates: 3 });
  const most = { base: 100_000, burst: 100_000 };
  const none = { standard: most, relaxed: most, anonymous: most };
  unlimited = await world().restart({ LIMITS: JSON.stringify(none) }, { isolates: 2 });
});
afterAll(async () => {
  await hourly.stop();
  await unlimited.stop();
});

test("a hot caller pays no hop", async () => {
  const place = await home();
  const answers = await inTurn(60, () => projects(place.owner, place));
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
  // The first two find out that he is hot; a second later somebody renews aside.
  expect(hops(answers)).toBeLessThanOrEqual(4);
});

test("a call of the strict tier asks the gate every time", async () => {
  const place = await home();
  const answers = await inTurn(3, () =>
    call(place.owner, "POST", `/v1/orgs/${place.org_id}/invitations`, {
      email: "guest@example.test",
      role: "member",
    }),
  );
  expect(hops(answers)).toBe(3);
});

test("1,000 calls at once over three isolates admit no more than the limit and strand no more than is published", async () => {
  const place = await home(hourly.api);
  const since = Date.now();
  const answers = await atOnce(1_000, (index) =>
    write({ ...place.owner, api: hourly.apis[index % 3] ?? "" }, place),
  );
  expect(insured(answers, HOURLY), "calls that no gate decided about").toBe(0);
  const admitted = answers.filter((answer) => answer.status === 200).length;
  const refilled = Math.ceil(((Date.now() - since) * HOURLY) / HOUR_MS);
  expect(admitted).toBeLessThanOrEqual(HOURLY + refilled);
  expect(admitted).toBeGreaterThanOrEqual(HOURLY - 3 * Math.floor(HOURLY / 8));
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200, 429]));
}, 60_000);

test("a removed member is out of every isolate within a second of the answer", async () => {
  const place = await home();
  const colleague = await member(place, "viewer");
  const isolates = world().apis.map((api) => ({ ...colleague, api }));
  for (const warm of isolates)
    await poll("the lease", async () => (await projects(warm, place)).status === 200);
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/members/${colleague.id}`), 204);
  // The published second, and what a question to a gate takes on a busy machine.
  const end = Date.now() + 1_000 + 500;
  for (const gone of isolates)
    await poll("the end of it", async () => (await projects(gone, place)).status === 404, end - Date.now());
});

test("a write of a removed member is refused at once, whatever lease his isolate holds", async () => {
  const place = await home();
  const colleague = { ...(await member(place, "editor")), api: world().apis[1] };
  expectStatus(await call(colleague, "POST", `/v1/workspaces/${place.id}/projects`, { name: "Before" }), 201);
  expectStatus(await call(place.owner, "DELETE", `/v1/workspaces/${place.id}/members/${colleague.id}`), 204);
  const answer = await call(colleague, "POST", `/v1/workspaces/${place.id}/projects`, { name: "After" });
  expect([403, 404]).toContain(answer.status);
});

test("a read that names a write's revision is never older, on any isolate", async () => {
  const place = await home();
  const readers = world().apis.map((api) => ({ ...place.owner, api }));
  for (const reader of readers) expectStatus(await projects(reader, place), 200);
  for (let n = 1; n <= 5; n++) {
    const made = await call<Project>(place.owner, "POST", `/v1/workspaces/${place.id}/projects`, {
      name: `P${n}`,
    });
    const revision = expectStatus(made, 201).headers.get("x-drey-revision") ?? "";
    for (const reader of readers) {
      const page = expectStatus(await projects(reader, place, { "x-drey-revision": revision }), 200);
      expect(page.body.data.map((one) => one.id)).toContain(made.body.id);
    }
  }
});

test("the isolate that wrote reads its own write without being told", async () => {
  const place = await home();
  expectStatus(await projects(place.owner, place), 200);
  const made = await project(place);
  const page = expectStatus(await projects(place.owner, place), 200);
  expect(page.body.data.map((one) => one.id)).toEqual([made.id]);
});

test("without a revision a reader of another isolate is behind for no more than a second", async () => {
  const place = await home();
  const reader = { ...place.owner, api: world().apis[2] };
  expectStatus(await projects(reader, place), 200);
  const made = await project(place);
  const shows = async () => (await projects(reader, place)).body.data.some((one) => one.id === made.id);
  await poll("the write", shows, BEHIND_MS);
});

test("of many writes in a row none is hidden from another isolate for more than a second", async () => {
  const place = await home(unlimited.api);
  const reader = { ...place.owner, api: unlimited.apis[1] ?? "" };
  const path = `/v1/workspaces/${place.id}/projects/${(await project(place)).id}`;
  const written: { version: number; answered: number }[] = [];
  const end = Date.now() + 3_000;
  const writing = (async () => {
    while (Date.now() < end) {
      const { body } = expectStatus(await call<Project>(place.owner, "PATCH", path, {}), 200);
      written.push({ version: body.version, answered: Date.now() });
    }
  })();
  for (let asked = Date.now(); asked < end + BEHIND_MS; asked = Date.now()) {
    const { version } = expectStatus(await call<Project>(reader, "GET", path), 200).body;
    const hidden = written.filter((one) => one.version > version && one.answered < asked - BEHIND_MS);
    expect(hidden).toEqual([]);
  }
  await writing;
  expect(written.length, "enough that most are told late").toBeGreaterThan(30);
}, 30_000);

function projects(
  caller: User,
  place: OwnedWorkspace,
  headers: Record<string, string> = {},
): Promise<Answer<Page<Project>>> {
  return call<Page<Project>>(caller, "GET", `/v1/workspaces/${place.id}/projects`, undefined, headers);
}

/** A change of the standard tier that changes nothing. */
function write(caller: User, place: OwnedWorkspace): Promise<Answer<unknown>> {
  return call(caller, "PATCH", `/v1/workspaces/${place.id}`, {});
}

function hops(answers: Answer<unknown>[]): number {
  const each = answers.map(
    (answer) => /gate;desc="(\d+)"/.exec(answer.headers.get("server-timing") ?? "")?.[1],
  );
  return each.reduce((sum, hop) => sum + Number(hop), 0);
}
